"""A job that is run again takes over what its stages wrote of the same input, by the same recipe."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.errors import StateConflict, SubmissionError
from pipeline.store import Store
from tests.records import stored, violations
from tests.support import Text, pipeline_of, running, submit, until


class Wanted(BaseModel):
    suffix: str = ""


class Middle(BaseModel):
    length: int


class Chain:
    """Three stages that note their executions: `first` may change, `last` reads what both others wrote."""

    def __init__(self, *, version: int = 1, engine: str = "one") -> None:
        self.ran: list[str] = []
        self.first, self.engine, self.large = "first", engine, ""

        @stage(name="first")
        async def first(document: Document, context: StageContext, params: Wanted) -> Text:
            self.ran.append("first")
            return Text(text=self.first + params.suffix + self.large)

        @stage(name="middle")
        def middle(text: Text, context: StageContext) -> Middle:
            self.ran.append("middle")
            return Middle(length=len(text.text))

        @stage(name="last", version=version, engine=lambda: self.engine)
        async def last(middle: Middle, context: StageContext, params: Wanted) -> Text:
            self.ran.append("last")
            return Text(text=f"{(await context.output(Text)).text}: {middle.length}{params.suffix}"[:99])

        self.pipeline = pipeline_of(first, middle, last)

    def again(self) -> list[str]:
        """Return what has run since this was asked last."""
        ran, self.ran = self.ran, []
        return ran


async def finished(store: Store, chain: Chain, **options: Any) -> str:
    """A job that has run once."""
    async with running(store, chain.pipeline):
        job = await submit(Client(store), "test", **options)
        assert (await until(store, job.id)).state == "succeeded"
    assert chain.again() == ["first", "middle", "last"]
    return job.id


async def rerun(store: Store, chain: Chain, job: str, stage: str, **options: Any) -> list[str]:
    """Run a job again, and return the stages of which code has run."""
    await Client(store).retry(job, stage, **options)
    async with running(store, chain.pipeline):
        assert (await until(store, job)).state == "succeeded"
    assert await violations(store) == {}
    return chain.again()


async def test_what_gives_the_same_again_is_not_paid_for_by_the_stages_after_it(store: Store) -> None:
    chain = Chain()
    job = await finished(store, chain)
    assert await rerun(store, chain, job, "first") == ["first"]
    assert await Client(store).output(job, "last") == {"text": "first: 5"}
    record = await store.db["outputs"].find_one({"_id": f"{job}:last:2"})
    assert record is not None
    assert record["reused_from"] == 1
    assert (await stored(store, f"{job}:last:2"))["reused_from"] == 1
    assert (await Client(store).get(job)).stages[2].reused_from == 1
    assert await rerun(store, chain, job, "first", force=True) == ["first", "middle", "last"]


async def test_a_stage_runs_when_an_output_that_is_not_its_input_has_changed(store: Store) -> None:
    chain = Chain()
    job = await finished(store, chain)
    chain.first = "FIRST"  # as long, so that the middle gives the same
    assert await rerun(store, chain, job, "first") == ["first", "middle", "last"]
    assert await Client(store).output(job, "last") == {"text": "FIRST: 5"}
    chain.first = "first"
    assert await rerun(store, chain, job, "first") == ["first"]  # revision 1 was that
    assert await Client(store).output(job, "last") == {"text": "first: 5"}


async def test_another_version_or_engine_runs(store: Store) -> None:
    job = await finished(store, Chain())
    newer = Chain(version=2)
    assert await rerun(store, newer, job, "first") == ["first", "last"]
    newer.engine = "two"
    assert await rerun(store, newer, job, "first") == ["first", "last"]
    assert await rerun(store, newer, job, "first") == ["first"]


async def test_params_belong_to_a_revision_and_those_after_it(store: Store, tmp_path: Path) -> None:
    chain, client = Chain(), Client(store)
    job = await finished(store, chain, params={"last": {"suffix": "!"}})
    given: Any = {"last": {"suffix": "?"}}
    assert await rerun(store, chain, job, "middle", params=given) == ["middle", "last"]
    assert await client.output(job, "last") == {"text": "first: 5?"}
    assert await rerun(store, chain, job, "middle") == ["middle"]
    assert await client.output(job, "last") == {"text": "first: 5?"}
    assert await rerun(store, chain, job, "middle", params={"last": {"suffix": None}}) == ["middle", "last"]
    assert await client.output(job, "last") == {"text": "first: 5"}
    again = (await stored(store, f"{job}:last:3"))["again"]
    assert again == {"anew": "first", "params": {"last": {"suffix": "?"}}}
    assert await client.save_document(job, tmp_path / "document") == {"last": {}}


async def test_a_large_output_is_taken_over_as_it_lies(store: Store) -> None:
    chain = Chain()
    chain.large = "x" * 9_000_000
    job = await finished(store, chain)
    outputs = {each["_id"]: each async for each in store.db["outputs"].find({})}
    assert "file_id" in outputs[f"{job}:first:1"]
    await Client(store).retry(job, "first", params={"last": {"suffix": "!"}})
    async with running(store, chain.pipeline):
        await until(store, job)
    assert chain.again() == ["first", "last"]
    assert await violations(store) == {}


async def test_an_output_that_does_not_say_by_what_it_was_made_is_not_reused(store: Store) -> None:
    chain = Chain()
    job = await finished(store, chain)
    await store.db["outputs"].update_many({}, {"$unset": {"params": ""}})  # as earlier releases wrote them
    assert await rerun(store, chain, job, "first") == ["first", "middle", "last"]


async def test_what_can_not_be_asked_for(store: Store) -> None:
    chain, client = Chain(), Client(store)
    job = await finished(store, chain)
    with pytest.raises(SubmissionError, match="from which stage"):
        await client.retry(job, force=True)
    with pytest.raises(StateConflict, match="has no stage 'none'"):
        await client.retry(job, "last", params={"none": {}})
    with pytest.raises(StateConflict, match="'first', which comes before 'last'"):
        await client.retry(job, "last", params={"first": {"suffix": "!"}})
