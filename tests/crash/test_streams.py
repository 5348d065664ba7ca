"""Streams that end, stall or fall out of the oplog below a running worker; and no streams at all."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from pipeline.client import Client
from pipeline.embedded import embedded_mongod
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import cluster_time
from pipeline.submission import job_document
from tests.crash.chain import STAGES
from tests.crash.dying import WORKER, at_every_stage, begin, dies_at, finish, sound, trip, worker
from tests.cursors import kill_change_streams
from tests.oplog import position, roll_over, short_history, write_some
from tests.records import violations
from tests.support import COUNTING, running, submit, until

LOOK_AGAIN = 0.05
RARE = WorkerSettings(reconciliation=timedelta(hours=1))
"""What a worker with these settings finds, its stream has told; or a gap's reconciliation."""

Trouble = Callable[[Store], Awaitable[None]]


async def drop_a_collection(store: Store) -> None:
    await store.db["checkpoints"].drop()


async def rename_a_collection(store: Store) -> None:
    await store.db["uploads"].rename("elsewhere")


async def drop_the_database(store: Store) -> None:
    """Invalidate the stream for good."""
    await store.db.client.drop_database(store.db.name)
    await store.install()


async def kill_the_cursors(store: Store) -> None:
    assert await kill_change_streams(store.db) >= 1


async def close_the_connections(store: Store) -> None:
    """Have the server hang up three times on whoever asks for the next events."""
    data = {
        "failCommands": ["getMore"],
        "closeConnection": True,
        "namespace": f"{store.db.name}.$cmd.aggregate",
    }
    point = {"configureFailPoint": "failCommand", "mode": {"times": 3}, "data": data}
    await store.db.client.admin.command(point)


@pytest.fixture
async def testable(tmp_path: Path) -> AsyncIterator[Store]:
    """A store whose server can be told to fail commands, and whose databases may be dropped."""
    async with embedded_mongod(tmp_path / "mongod", parameters={"enableTestCommands": "1"}) as mongod:
        async with Store(StoreSettings(mongodb_uri=SecretStr(mongod.uri), database="troubled")) as store:
            await store.install()
            yield store


async def passed(store: Store, role: str, time: Any) -> None:
    """Wait until a role's saved position is at this time or later."""
    with anyio.fail_after(60):
        while True:
            saved = await store.listeners.position(role)
            if saved is not None and cluster_time(saved.token) >= time:
                return
            await anyio.sleep(LOOK_AGAIN)


@pytest.mark.parametrize(
    "trouble",
    [drop_a_collection, rename_a_collection, drop_the_database, kill_the_cursors, close_the_connections],
)
async def test_a_stream_that_ends_comes_back_by_itself(testable: Store, trouble: Trouble) -> None:
    store = testable
    async with running(store, COUNTING, RARE) as listening:
        first = await submit(Client(store), "counting")
        assert (await until(store, first.id)).state == "succeeded"
        await trouble(store)
        # By a bare insert: nobody but the stream tells the worker of it.
        job = job_document("counting", name="a.txt", content=b"one two three")
        await store.db["jobs"].insert_one(job)
        inserted = await store.changes.now()
        assert (await until(store, job["_id"])).state == "succeeded"
        await passed(store, listening.role, inserted)
    assert await violations(store) == {}


async def says_that_it_listens(store: Store, listening: bool) -> None:
    """Wait until the only worker says this about itself."""
    with anyio.fail_after(30):
        while True:
            alive = await store.workers.alive()
            if [each.get("listening") for each in alive] == [listening]:
                return
            await anyio.sleep(LOOK_AGAIN)


async def test_a_worker_that_cannot_listen_says_so_and_works_on(testable: Store) -> None:
    store, namespace = testable, f"{testable.db.name}.$cmd.aggregate"
    refuse = {"failCommands": ["aggregate", "getMore"], "errorCode": 96, "namespace": namespace}
    point = {"configureFailPoint": "failCommand", "data": refuse}
    async with running(store, COUNTING, WorkerSettings(lease=timedelta(seconds=1))):
        await says_that_it_listens(store, True)
        await store.db.client.admin.command({**point, "mode": "alwaysOn"})
        await says_that_it_listens(store, False)
        job = job_document("counting", name="a.txt", content=b"one two three")
        await store.db["jobs"].insert_one(job)
        with anyio.fail_after(30):
            while True:  # nobody can wait for events now
                if (await Client(store).get(job["_id"])).state == "succeeded":
                    break
                await anyio.sleep(LOOK_AGAIN)
        await store.db.client.admin.command({**point, "mode": "off"})
        await says_that_it_listens(store, True)
    assert await violations(store) == {}


async def closed_gap(store: Store, why: str) -> dict[str, Any]:
    """Wait until a gap with this code is closed."""
    with anyio.fail_after(60):
        while True:
            found: dict[str, Any] | None = await store.db["gaps"].find_one({"why": {"$regex": why}})
            if found is not None:
                return found
            await anyio.sleep(LOOK_AGAIN)
    raise AssertionError("not reached")


async def test_an_open_stream_that_stalls_until_the_oplog_has_rolled_over(tmp_path: Path) -> None:
    """The worker is paused, and its cursor's place is overwritten: 136, not 286 as on a resume."""
    async with short_history(tmp_path / "mongod", "stalled") as store:
        async with worker(store.settings, "stalled") as process:
            first = await begin(store, tmp_path / "trace-first")
            await until(store, first.job)
            process.send_signal(signal.SIGSTOP)
            answered = await begin(store, tmp_path / "trace-answered")  # to a question it has asked
            await write_some(store)
            unheard = await begin(store, tmp_path / "trace-unheard")
            await roll_over(store, await position(store))
            process.send_signal(signal.SIGCONT)
            for journey in (answered, unheard):
                view = await until(store, journey.job)
                await journey.check(view, dict.fromkeys(STAGES, 1))
            await closed_gap(store, "136")
        await sound(store)


async def test_a_worker_is_killed_while_all_listeners_are_off(
    store_settings: StoreSettings, tmp_path: Path
) -> None:
    off = {"MILLRACE_WORKER_LISTEN": "false"}

    async def at(stage: str) -> None:
        async with trip(store_settings, stage, tmp_path) as journey:
            await dies_at(journey.settings, f"checkpoint.saved@{stage}:2", WORKER, "first", **off)
            await release_worker(journey.store, "first")
            attempts = {name: 1 + (name == stage) for name in STAGES}
            await finish(journey, attempts, WorkerSettings(processes=1, listen=False))
            assert await journey.store.listeners.list() == []

    await at_every_stage(at)
