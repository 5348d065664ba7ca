"""A pipeline whose stage costs tokens, and tells how many it used: for rates, also over worker processes."""

from pydantic import BaseModel

from pipeline import Cost, Document, Pipeline, StageContext, stage


class Params(BaseModel):
    account: str = ""
    uses: int | None = None
    """Tokens, told in two calls; None tells nothing."""


class Done(BaseModel):
    pass


@stage(name="work", key="account/{account}", cost=Cost("tokens", reserve=40))
def work(document: Document, context: StageContext, params: Params) -> Done:
    if params.uses is not None:
        context.used("tokens", 10)
        context.used("tokens", params.uses - 10)
    return Done()


METERED = Pipeline("metered", [work])
