"""Outputs that no MongoDB document could hold go through; a part that can't be saved fails its job once."""

import pytest
from pydantic import BaseModel

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.store import Store
from tests.records import violations
from tests.support import Text, pipeline_of, running, submit, until

MEGABYTE = 1024 * 1024


class Big(BaseModel):
    text: str = ""
    numbers: list[int] = []


class Size(BaseModel):
    characters: int
    numbers: int


BODIES = {
    "text of 24 MiB": Big(text="x" * (24 * MEGABYTE)),
    "2 MiB of JSON, 20 MiB of BSON": Big(numbers=[1] * MEGABYTE + [1] * (MEGABYTE // 2)),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_large_output_is_read_by_the_next_stage(store: Store, kind: str) -> None:
    big = BODIES[kind]

    @stage(name="grow")
    async def grow(document: Document, context: StageContext) -> Big:
        return big

    @stage(name="measure")
    async def measure(big: Big, context: StageContext) -> Size:
        return Size(characters=len(big.text), numbers=len(big.numbers))

    client = Client(store)
    async with running(store, pipeline_of(grow, measure)):
        job = await submit(client, "test")
        view = await until(store, job.id)
    assert (view.state, view.stages[0].attempt) == ("succeeded", 1)
    assert await client.output(job.id, "measure") == {
        "characters": len(big.text),
        "numbers": len(big.numbers),
    }
    assert "file_id" in (await store.db["outputs"].find_one({"_id": f"{job.id}:grow:1"}) or {})
    assert await violations(store) == {}


async def test_a_part_that_is_too_large_fails_its_job_and_not_its_worker(store: Store) -> None:
    @stage(name="grow")
    async def grow(document: Document, context: StageContext) -> Text:
        async def huge() -> str:
            return "x" * (17 * MEGABYTE)

        return Text(text=await context.checkpoint("huge", huge, str))

    client = Client(store)
    async with running(store, pipeline_of(grow)):
        for _ in range(2):
            job = await submit(client, "test")
            view = await until(store, job.id)
            assert (view.state, view.stages[0].attempt) == ("failed", 1)
            assert view.error is not None
            assert "bytes, more than" in view.error.message
    assert await violations(store) == {}
