"""A worker is killed while it fires a schedule or cleans up: the next does the rest, nothing twice."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from pipeline.client import Client
from pipeline.crashpoints import VARIABLE
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.documents import INLINE_BYTES
from pipeline.timetable import Timetable
from tests.integration.test_schedules import NEVER, hourly, set_due, ticks_of, when
from tests.records import violations
from tests.support import COUNTING, reconciled, running, submit, worker_process

RARELY = WorkerSettings(reconciliation=timedelta(hours=1))


async def dies(store: Store, point: str) -> None:
    async with worker_process(store.settings, "tests.support:COUNTING", **{VARIABLE: point}) as process:
        with anyio.fail_after(60):
            assert await process.wait() == -9


@pytest.mark.parametrize("point", ["schedule.due", "schedule.fired"])
async def test_a_tick_whose_worker_was_killed_is_fired_once(store: Store, point: str) -> None:
    await hourly(store, cron=NEVER)
    await set_due(store, datetime.now(UTC))
    await dies(store, point)
    assert len(await ticks_of(store)) == (point == "schedule.fired")
    async with running(store, COUNTING, RARELY):
        found = await when(store, lambda each: each["fired"] == 1)
        await reconciled(store)
    assert found["next_at"] > datetime.now(UTC)
    assert sum((await ticks_of(store)).values()) == 1
    assert await violations(store) == {}


@pytest.mark.parametrize("point", ["schedule.fired", "cleanup.written", "cleanup.removed"])
async def test_a_cleanup_whose_worker_was_killed_is_taken_over(store: Store, point: str) -> None:
    client = Client(store)
    for _ in range(2):
        job = await submit(client, "counting", b"x " * INLINE_BYTES)
        await client.cancel(job.id)
    await Timetable(store).set_retention(timedelta(0))
    await Timetable(store).put_task("tidy", "cleanup", cron=NEVER)
    await set_due(store, datetime.now(UTC), "tidy")
    await dies(store, point)
    assert "I7" not in await violations(store)  # nor any bytes of nobody
    left = await store.db["jobs"].count_documents({})
    assert left == (1 if point == "cleanup.removed" else 2)
    # Its lease has ended, and so has the time of the bytes that it left.
    await store.db["schedules"].update_one({}, {"$set": {"running.until": datetime.now(UTC)}})
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    await store.db["uploads"].update_many({}, {"$set": {"started_at": long_ago}})
    async with running(store, COUNTING, RARELY):
        found = await when(store, lambda each: "finished_at" in (each.get("last") or {}), "tidy")
        await reconciled(store)
    assert (found["fired"], found["last"]["done"]["jobs"]) == (1, left)
    for collection in ("jobs", "documents.files", "documents.chunks", "uploads"):
        assert await store.db[collection].count_documents({}) == 0, collection
    assert await violations(store) == {}
