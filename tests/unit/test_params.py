"""Params of a stage: what they are when it runs, and how little is told of those that don't fit."""

import traceback

import pytest
from pydantic import BaseModel, SecretStr

from pipeline import Document, PermanentError, StageContext, stage
from pipeline.params import params_of
from tests.support import Text, read


class Locked(BaseModel, extra="forbid"):
    password: SecretStr | None = None
    dpi: int = 200


@stage(name="unlock", version=1)
async def unlock(document: Document, context: StageContext, params: Locked) -> Text:
    return Text(text=str(params.dpi))


def test_a_stage_gets_its_own_params_or_their_defaults() -> None:
    assert params_of(unlock, {"unlock": {"dpi": 300}, "read": {"x": 1}}) == Locked(dpi=300)
    assert params_of(unlock, {}) == Locked()
    assert params_of(read, {"unlock": {"dpi": 300}}) is None


@pytest.mark.parametrize(
    "given", [{"password": "hunter2", "dpi": "many"}, {"password": ["hunter2"]}, {"passwort": "hunter2"}]
)
def test_what_does_not_fit_is_told_without_its_values(given: dict[str, object]) -> None:
    with pytest.raises(PermanentError, match="the params of stage 'unlock' are not valid: ") as raised:
        params_of(unlock, {"unlock": given})
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))
