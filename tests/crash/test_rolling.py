"""Workers that are stopped one after the other under load, stopped twice, and killed by their own work."""

import os
import sys
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from api.up import Supervisor
from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.submission import job_document
from tests.crash.chain import HOLD, STAGES
from tests.crash.dying import at_every_stage, finish, trip
from tests.crash.shifts import POISON, POISON_ATTEMPTS
from tests.records import violations
from tests.support import until, worker_process

LONG = os.environ.get("MILLRACE_TEST_LONG") == "1"
JOBS = 2000 if LONG else 240
WORKERS = 3
STOP_SECONDS = 20.0
"""Longest that a worker without any grace may take to stop, on a busy machine."""
INNOCENTS = 11
LOOK_AGAIN = 0.05


async def submit_all(store: Store, pipeline: str, contents: list[bytes]) -> list[str]:
    jobs = [job_document(pipeline, name="a.txt", content=content) for content in contents]
    await store.db["jobs"].insert_many(jobs)
    return [job["_id"] for job in jobs]


async def registered(store: Store, name: str) -> None:
    """Wait until a worker is there to claim."""
    with anyio.fail_after(60):
        while True:
            if name in {each["_id"] for each in await store.workers.alive()}:
                return
            await anyio.sleep(LOOK_AGAIN)


async def unended(store: Store) -> int:
    return await store.db["jobs"].count_documents({"state": {"$in": ["submitted", "running"]}})


async def roll(store: Store) -> int:
    """Replace workers in turn until every job has ended; returns how many were stopped."""
    numbers = count(1)
    variables = {"MILLRACE_WORKER_GRACE": "0.05", "MILLRACE_WORKER_SLOTS": "8"}
    async with AsyncExitStack() as stack:

        async def start() -> Process:
            name = f"worker-{next(numbers)}"
            command = ("tests.crash.shifts:SHIFTS", "--name", name)
            process = await stack.enter_async_context(worker_process(store.settings, *command, **variables))
            await registered(store, name)
            return process

        workers = [await start() for _ in range(WORKERS)]
        for stopped in count():
            if not await unended(store):
                return stopped
            oldest = workers.pop(0)
            oldest.terminate()
            with anyio.fail_after(STOP_SECONDS):
                assert await oldest.wait() == 0
            workers.append(await start())
    raise AssertionError("not reached")


@pytest.mark.timeout(900 if LONG else 240)
async def test_a_rolling_restart_under_load_loses_and_charges_nothing(store: Store) -> None:
    await submit_all(store, "shifts", [b"a shift"] * JOBS)
    stopped = await roll(store)
    assert stopped > WORKERS
    assert await store.db["jobs"].count_documents({"state": "succeeded"}) == JOBS
    tasks = store.db["tasks"]
    assert await tasks.count_documents({"attempt": 1, "errors": []}) == 2 * JOBS
    interrupted = await tasks.count_documents({"lease.fence": {"$gt": 1}})
    assert interrupted > stopped, "too few attempts were interrupted for this test to show anything"
    assert await store.db["workers"].count_documents({}) <= WORKERS
    assert await violations(store) == {}


async def delivered(process: Process) -> None:
    """Wait until a process has no signal pending: a second one of the same kind would be lost till then."""
    status = anyio.Path(f"/proc/{process.pid}/status")
    with anyio.fail_after(30):
        while True:
            lines = (await status.read_text()).splitlines()
            [pending] = [int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:")]
            if not pending:
                return
            await anyio.sleep(LOOK_AGAIN)


async def test_a_second_sigterm_ends_a_worker_at_once(store_settings: StoreSettings, tmp_path: Path) -> None:
    async def at(stage: str) -> None:
        async with trip(store_settings, stage, tmp_path) as journey:
            command = ("tests.crash.chain:CHAIN", "--name", "first")
            variables = {HOLD: stage, "MILLRACE_WORKER_GRACE": "3600"}
            async with worker_process(journey.settings, *command, **variables) as process:
                await journey.trace.waits(stage)
                process.terminate()
                await delivered(process)
                process.terminate()
                with anyio.fail_after(STOP_SECONDS):
                    assert await process.wait() == 0
            task = next(each for each in await journey.tasks() if each["stage"] == stage)
            assert (task["state"], task["attempt"], task["errors"]) == ("ready", 0, [])
            assert await journey.store.db["workers"].count_documents({}) == 0
            await finish(journey, dict.fromkeys(STAGES, 1))

    await at_every_stage(at)


async def ended(store: Store) -> None:
    """Wait, by change events, until every job has ended."""
    with anyio.fail_after(90):
        async with store.changes.open(FEED) as changes:
            while await unended(store):
                await changes.read()


async def test_a_document_that_kills_its_workers_takes_no_innocent_one_along(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_WORKER_SLOTS", "4")
    pipeline = ("--pipeline", "tests.crash.shifts:TASTING")
    poison, *innocents = await submit_all(store, "tasting", [POISON, *[b"innocent"] * INNOCENTS])
    supervisor = Supervisor(store, store.settings)
    async with anyio.create_task_group() as group:

        def command(name: str) -> list[str]:
            return [sys.executable, "-m", "api", "worker", "--name", name, *pipeline]

        group.start_soon(supervisor.keep, "worker", command)
        await ended(store)
        supervisor.stop()
    client = Client(store)
    assert [(await client.get(job)).state for job in innocents] == ["succeeded"] * INNOCENTS
    view = await until(store, poison)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.type == "WorkerDied"
    [task] = await store.db["tasks"].find({"job": poison}).to_list()
    assert task["attempt"] == POISON_ATTEMPTS
    assert [each["type"] for each in task["errors"]] == ["WorkerDied"] * POISON_ATTEMPTS
    deaths = await store.db["tasks"].find({"job": {"$in": innocents}, "deaths": {"$gt": 0}}).to_list()
    assert len(deaths) >= 3, "too few ran beside it for this test to show anything"
    assert await violations(store) == {}
