"""What a stage remembers across jobs: for its tenant alone, and for a while."""

from datetime import timedelta

import anyio
import pytest

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.store.schema import INDEXES
from tests.support import Text, pipeline_of, running, submit, until

made: list[str] = []


@stage(name="costly")
async def costly(document: Document, context: StageContext) -> Text:
    text = (await document.read()).decode()

    async def make() -> str:
        made.append(context.job)
        return text.upper()

    lifetime = timedelta(0) if text == "short" else timedelta(hours=1)
    found = await context.remember({"$input": text}, make, str, lifetime=lifetime, fresh=text == "fresh")
    return Text(text=found)


@pytest.mark.parametrize(("content", "times"), [(b"$one", 1), (b"short", 2), (b"fresh", 2)])
async def test_the_second_job_of_a_tenant_makes_nothing_that_is_remembered(
    store: Store, content: bytes, times: int
) -> None:
    made.clear()
    async with running(store, pipeline_of(costly)):
        for _ in range(2):
            job = await submit(Client(store), "test", content)
            assert (await until(store, job.id)).state == "succeeded"
            body = await store.outputs.body(job.id, "costly", 1)
            assert body["text"] == content.decode().upper()
    assert len(made) == times


async def ended(store: Store, job: str) -> None:
    with anyio.fail_after(60):
        async with store.changes.open(FEED) as stream:
            while (await store.db["jobs"].find_one({"_id": job}))["state"] != "succeeded":  # type: ignore[index]
                await stream.read()


async def test_no_tenant_finds_what_is_anothers(store: Store) -> None:
    made.clear()
    async with running(store, pipeline_of(costly)):
        for tenant in ("alder", "birch"):
            job = await submit(Client(store, tenant), "test", b"same")
            await ended(store, job.id)
    assert len(made) == 2
    kept = await store.db["memories"].find({}, {"tenant": 1, "job": 1}).to_list()
    assert {each["tenant"] for each in kept} == {"alder", "birch"}
    assert {each["job"] for each in kept} == set(made)


def test_what_is_over_is_removed_by_the_database() -> None:
    (expiry,) = [each.document for each in INDEXES["memories"] if each.document["name"] == "expiry"]
    assert expiry["expireAfterSeconds"] == 0
