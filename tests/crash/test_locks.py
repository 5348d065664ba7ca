"""A process that is killed inside a transaction leaves a job locked: nobody else has to wait for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.crash.chain import GATE, HOLD, STAGES
from tests.crash.dying import WORKER, Trip, begin, dies_at, sound, trip, worker
from tests.support import until

LEASE = timedelta(seconds=4)
LOOK_AGAIN = 0.05
ONCE_EACH = dict.fromkeys(STAGES, 1)


async def renewed_for_long(journey: Trip) -> None:
    """Wait until the lease of the first stage has been renewed for longer than a lease lasts."""
    [task] = await journey.tasks()
    wanted = task["lease"]["until"] + 1.5 * LEASE
    with anyio.fail_after(60):
        while True:
            [task] = await journey.tasks()
            assert task["attempt"] == 1
            if task["lease"]["until"] >= wanted:
                return
            await anyio.sleep(LOOK_AGAIN)


@asynccontextmanager
async def patient(store: Store) -> AsyncIterator[None]:
    """A server that doesn't end old transactions by itself."""
    admin, lifetime = store.db.client.admin, "transactionLifetimeLimitSeconds"
    before = (await admin.command({"getParameter": 1, lifetime: 1}))[lifetime]
    await admin.command({"setParameter": 1, lifetime: 3600})
    try:
        yield
    finally:
        await admin.command({"setParameter": 1, lifetime: before})


@pytest.mark.parametrize("successor", ["another", "dead"])
async def test_a_job_whose_worker_was_killed_while_it_admitted_it_is_admitted_by_the_next(
    store_settings: StoreSettings, tmp_path: Path, successor: str
) -> None:
    """No lease tells that this worker has died: whoever meets its locks finds out, or who has its name."""
    async with trip(store_settings, "admitted", tmp_path) as journey, patient(journey.store):
        await dies_at(journey.settings, "commit.written", WORKER, "dead", MILLRACE_WORKER_LEASE="2")
        assert await journey.tasks() == []
        async with worker(journey.settings, successor):
            await journey.check(await until(journey.store, journey.job), ONCE_EACH)


@pytest.mark.parametrize("point", ["cancel.written"])
async def test_a_job_that_a_killed_client_left_locked_holds_no_other_up(
    store_settings: StoreSettings, tmp_path: Path, point: str
) -> None:
    """MongoDB ends such a transaction after a minute."""
    gate = tmp_path / "gate"
    variables = {
        HOLD: "scan",
        GATE: str(gate),
        "MILLRACE_WORKER_LEASE": str(LEASE.total_seconds()),
        "MILLRACE_WORKER_PROCESSES": "2",
    }
    async with trip(store_settings, "locked", tmp_path) as locked:
        free = await begin(locked.store, tmp_path / "trace-free")
        async with worker(locked.settings, "only", **variables):
            await locked.trace.waits("scan")
            await free.trace.waits("scan")
            await dies_at(locked.settings, point, "tests.crash.canceller", locked.job)
            await renewed_for_long(free)
            gate.touch()
            await free.check(await until(free.store, free.job), ONCE_EACH)
            await locked.store.db.client.admin.command("killAllSessions", [])
            view = await until(locked.store, locked.job)
        attempts = view.stages[0].attempt
        assert attempts <= 2  # its own lease could not be renewed while it was locked
        await locked.check(view, {**ONCE_EACH, "scan": attempts})
        await sound(locked.store)
