"""Two releases of a pipeline side by side under load, rolled out, back, and out again: nothing fails."""

import signal
from collections import Counter

import anyio
from anyio.abc import Process

from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.submission import job_document
from pipeline.versions import versions
from tests.records import violations
from tests.support import worker_process

FIRST, SECOND = "tests.crash.releases:FIRST", "tests.crash.releases:SECOND"
STEP = 20
"""Jobs between two deployments, at least."""
OPEN, PAUSE = 10, 0.05


async def load(store: Store, enough: anyio.Event) -> None:
    """Insert jobs until told otherwise, so that some always wait."""
    while not enough.is_set():
        if await store.db["jobs"].count_documents({"state": "submitted"}) < OPEN:
            jobs = [job_document("talk", name="a.txt", content=b"one") for _ in range(OPEN)]
            await store.db["jobs"].insert_many(jobs)
        await anyio.sleep(PAUSE)


async def ended(store: Store, more: int) -> None:
    """Wait, by change events, until that many jobs more have succeeded."""
    async with store.changes.open(FEED) as stream:
        while more > 0:
            event = await stream.read()
            if event and event.collection == "jobs" and event.fields.get("state") == "succeeded":
                more -= 1


async def retire(process: Process) -> None:
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_releases_side_by_side(store: Store, store_settings: StoreSettings) -> None:
    enough = anyio.Event()
    with anyio.fail_after(110):
        async with anyio.create_task_group() as group, worker_process(store_settings, FIRST) as old:
            group.start_soon(load, store, enough)
            await ended(store, STEP)
            async with worker_process(store_settings, SECOND) as new:  # out: both for a while, then one
                await served_by(store, 2)
                await ended(store, STEP)
                await retire(old)
                await ended(store, STEP)
                async with worker_process(store_settings, FIRST):  # and back
                    await served_by(store, 1)
                    await retire(new)
                    await ended(store, STEP)
                    async with worker_process(store_settings, FIRST, "--pipeline", SECOND):  # one hosts both
                        await served_by(store, 2)
                        await ended(store, STEP)
                        enough.set()
                        await all_ended(store)
    await check_nothing_failed(store)


async def served_by(store: Store, version: int) -> None:
    """Wait until a job has begun in this version, that nobody had begun before."""
    async with store.changes.open(FEED) as stream:
        while True:
            event = await stream.read()
            queue = event.fields.get("queue", "") if event and event.collection == "tasks" else ""
            if queue == f"talk@{version}/say":
                return


async def all_ended(store: Store) -> None:
    async with store.changes.open(FEED) as stream:
        while await store.db["jobs"].count_documents({"state": {"$in": ["submitted", "running"]}}):
            await stream.read()


async def check_nothing_failed(store: Store) -> None:
    assert await store.db["jobs"].distinct("state") == ["succeeded"]
    assert await store.db["tasks"].distinct("errors") == []
    begun: Counter[int] = Counter()
    async for job in store.db["jobs"].find({}, {"pipeline_version": 1}):
        begun[job["pipeline_version"]] += 1
    assert min(begun[1], begun[2]) >= STEP
    said = store.db["outputs"].aggregate(
        [{"$group": {"_id": {"job": "$job"}, "releases": {"$addToSet": "$body.release"}}}]
    )
    mixed = [each async for each in await said if len(each["releases"]) != 1]
    assert mixed == [], "a job was worked on by two releases"
    assert [each.ready + each.running + each.submitted for each in await versions(store)] == [0, 0]
    assert await violations(store) == {}
