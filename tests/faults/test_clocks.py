"""Workers whose clocks are an hour off, both ways: what counts is the server's time."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, TemporaryError, stage
from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.views import JobView
from tests.clock import server_time, skewed
from tests.records import Doc, violations
from tests.support import submit, until, worker_process

HOUR = timedelta(hours=1)
CLOCKS = {"ahead": HOUR, "behind": -HOUR, "right": timedelta(0)}
LEASE = timedelta(seconds=3)
BREAK = timedelta(seconds=2)
GATE = "MILLRACE_TEST_GATE"
"""Names a fifo at which stages wait until it is replaced by a file."""


class Told(BaseModel):
    clock: float
    """The worker's, when the stage ended, in seconds since 1970."""


@stage(name="held")
def held(document: Document, context: StageContext) -> Told:
    Path(os.environ[GATE]).read_bytes()
    return Told(clock=time.time())


@stage(name="shaky")
async def shaky(document: Document, context: StageContext) -> Told:
    if context.attempt == 1:
        raise TemporaryError("come back", retry_after=BREAK)
    return Told(clock=time.time())


@stage(name="endless")
async def endless(document: Document, context: StageContext) -> Told:
    await anyio.sleep_forever()
    raise AssertionError


HELD, SHAKY, ENDLESS = Pipeline("held", [held]), Pipeline("shaky", [shaky]), Pipeline("endless", [endless])


class Gate:
    """Shut until it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._shut: int | None = os.open(path, os.O_RDWR)

    def open(self) -> None:
        """Let through who stands there, and who comes later."""
        if self._shut is not None:
            opened = self.path.with_name("opened")
            opened.touch()
            opened.replace(self.path)
            os.close(self._shut)
            self._shut = None


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path / "gate")
    yield made
    made.open()


class Crew:
    """Worker processes of one slot each, each with its clock."""

    def __init__(self, settings: StoreSettings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack

    async def start(self, clock: str, pipeline: str, **environment: str) -> Process:
        lease = {"MILLRACE_WORKER_LEASE": str(LEASE.total_seconds())}
        process = worker_process(
            self._settings,
            f"tests.faults.test_clocks:{pipeline}",
            *("--name", clock, "--slots", "1"),
            **{**skewed(CLOCKS[clock]), **lease, **environment},
        )
        return await self._stack.enter_async_context(process)


async def when(store: Store, reached: Callable[[list[Doc]], bool]) -> list[Doc]:
    """Wait, by the changes of tasks, until they are as wanted; returns them."""
    with anyio.fail_after(60):
        async with await store.db["tasks"].watch() as changes:
            while True:
                tasks = await store.db["tasks"].find({}).to_list()
                if reached(tasks):
                    return tasks
                await changes.try_next()
    raise AssertionError("not reached")


async def check_clock(store: Store, job: JobView, stage_name: str, clock: str) -> None:
    """The stage ran in a process whose clock was off as it should be."""
    told = Told.model_validate(await Client(store).output(job.id, stage_name)).clock
    finished = job.stages[0].finished_at
    assert finished is not None
    assert abs(told - (finished + CLOCKS[clock]).timestamp()) < HOUR.total_seconds() / 2


async def test_nobody_takes_a_lease_that_is_renewed(
    store: Store, store_settings: StoreSettings, gate: Gate
) -> None:
    jobs = [await submit(Client(store), "held") for _ in CLOCKS]
    async with AsyncExitStack() as stack:
        crew = Crew(store_settings, stack)
        for clock in CLOCKS:
            await crew.start(clock, "HELD", **{GATE: str(gate.path)})
        first = await when(
            store, lambda tasks: all(each["state"] == "running" for each in tasks) and len(tasks) == 3
        )
        ends = {each["_id"]: each["lease"]["until"] for each in first}
        await when(
            store, lambda tasks: all(each["lease"]["until"] > ends[each["_id"]] + 2 * LEASE for each in tasks)
        )
        gate.open()
        views = [await until(store, job.id) for job in jobs]
    assert {each["lease"]["worker"] for each in first} == set(CLOCKS)
    workers = {each["job"]: each["lease"]["worker"] for each in first}
    for view in views:
        assert (view.state, view.stages[0].attempt) == ("succeeded", 1)
        await check_clock(store, view, "held", workers[view.id])
    assert await violations(store) == {}


@pytest.mark.parametrize(("killed", "rescuer"), [("ahead", "behind"), ("behind", "ahead")])
async def test_a_killed_workers_task_is_rescued_when_its_lease_ends(
    store: Store, store_settings: StoreSettings, gate: Gate, killed: str, rescuer: str
) -> None:
    job = await submit(Client(store), "held")
    async with AsyncExitStack() as stack:
        crew = Crew(store_settings, stack)
        process = await crew.start(killed, "HELD", **{GATE: str(gate.path)})
        await when(store, lambda tasks: bool(tasks) and tasks[0]["state"] == "running")
        await crew.start(rescuer, "HELD", **{GATE: str(gate.path)})
        [left] = await store.db["tasks"].find({}).to_list()
        process.kill()
        await process.wait()
        gate.open()
        view = await until(store, job.id)
    [task] = await store.db["tasks"].find({}).to_list()
    [death] = task["errors"]
    assert (view.state, view.stages[0].attempt, death["worker"]) == ("succeeded", 2, killed)
    assert death["at"] >= left["lease"]["until"] > left["started_at"]
    await check_clock(store, view, "held", rescuer)
    assert await violations(store) == {}


@pytest.mark.parametrize("clock", ["ahead", "behind"])
async def test_what_is_put_off_runs_when_the_server_says(
    store: Store, store_settings: StoreSettings, clock: str
) -> None:
    later = await server_time(store.db) + timedelta(seconds=4)
    job = await submit(Client(store), "shaky", run_at=later)
    async with AsyncExitStack() as stack:
        await Crew(store_settings, stack).start(clock, "SHAKY")
        view = await until(store, job.id)
    [task] = await store.db["tasks"].find({}).to_list()
    [first] = task["errors"]
    assert (view.state, view.stages[0].attempt) == ("succeeded", 2)
    assert first["at"] >= later
    assert task["started_at"] >= first["at"] + BREAK
    await check_clock(store, view, "shaky", clock)
    assert await violations(store) == {}


@pytest.mark.parametrize("clock", ["ahead", "behind"])
async def test_a_deadline_is_the_servers(store: Store, store_settings: StoreSettings, clock: str) -> None:
    deadline = await server_time(store.db) + timedelta(seconds=4)
    job = await submit(Client(store), "endless", deadline=deadline)
    async with AsyncExitStack() as stack:
        await Crew(store_settings, stack).start(clock, "ENDLESS")
        view = await until(store, job.id)
    assert (view.state, view.finished_at is not None and view.finished_at >= deadline) == ("failed", True)
    assert view.error is not None
    assert view.error.type == "DeadlineExceeded"
    assert await violations(store) == {}
