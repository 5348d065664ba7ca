"""Processes that are killed at a named crash point, and what has to be true afterwards."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.abc import Process

from pipeline.admitter import Admitter
from pipeline.client import Client
from pipeline.committer import Committer
from pipeline.crashpoints import VARIABLE
from pipeline.hosted import Hosted
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.backlog import Backlog
from pipeline.tether import tethered
from pipeline.views import JobView
from tests.crash.chain import CHAIN, EVERY_PART, STAGES, TOTAL, Part, Trace
from tests.records import committing, violations
from tests.support import reconciled, running, submit, until

WORKER = "tests.crash.worker"


async def dies_at(settings: StoreSettings, point: str, *command: str, **environment: str) -> None:
    """Run `python -m command` with a crash point, and make sure that there it died."""
    with anyio.fail_after(60):
        ended = await anyio.run_process(
            tethered([sys.executable, "-m", *command]),
            stdin=DEVNULL,
            stdout=DEVNULL,
            check=False,
            env=variables(settings) | {VARIABLE: point} | environment,
        )
    told = ended.stderr.decode()
    name = point.partition(":")[0].partition("@")[0]
    assert ended.returncode == -signal.SIGKILL, f"{point}: ended with {ended.returncode}\n{told[-3000:]}"
    assert f"crash point {name}" in told.splitlines(), told[-3000:]


@asynccontextmanager
async def worker(settings: StoreSettings, name: str, **environment: str) -> AsyncIterator[Process]:
    """Run a worker of the pipeline `chain` that is killed at the end of the block."""
    command = tethered([sys.executable, "-m", WORKER, name])
    process = await anyio.open_process(
        command, stdin=DEVNULL, stdout=DEVNULL, stderr=None, env=variables(settings) | environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def variables(settings: StoreSettings) -> dict[str, str]:
    """Return this process's variables, and where the database is."""
    assert settings.mongodb_uri is not None
    return {
        **os.environ,
        "MILLRACE_MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "MILLRACE_DATABASE": settings.database,
    }


async def at_every_stage(test: Callable[[str], Awaitable[None]]) -> None:
    """Run a test for every stage of the pipeline `chain`, at the same time."""
    async with anyio.create_task_group() as group:
        for stage in STAGES:
            group.start_soon(test, stage)


@asynccontextmanager
async def database(settings: StoreSettings, name: str) -> AsyncIterator[Store]:
    """A database beside the test's own, for what runs at the same time as others."""
    own = settings.model_copy(update={"database": f"{settings.database}_{name}"})
    async with Store(own) as store:
        await store.install()
        yield store
        await store.db.client.drop_database(own.database)


@dataclass(frozen=True, slots=True)
class Trip:
    """One job of the pipeline `chain`, with its trace."""

    store: Store
    job: str
    trace: Trace

    @property
    def settings(self) -> StoreSettings:
        return self.store.settings

    async def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks that there are, in the order of their stages."""
        found = await self.store.db["tasks"].find({"job": self.job}).to_list()
        return sorted(found, key=lambda task: STAGES.index(task["stage"]))

    async def expected(self) -> dict[str, int]:
        """Return how many attempts every stage will have had, if nothing else dies."""
        had = {each["stage"]: each["attempt"] + (each["state"] != "succeeded") for each in await self.tasks()}
        return {name: had.get(name, 1) for name in STAGES}

    async def saved(self) -> set[Part]:
        """Return the parts that are durable."""
        checkpoints = self.store.db["checkpoints"].find({"job": self.job}, {"task": 1, "key": 1})
        return {
            (each["task"].split(":")[1], int(each["key"].rpartition("-")[2])) async for each in checkpoints
        }

    async def check(self, view: JobView, attempts: dict[str, int]) -> None:
        """Make sure that everything is as it would be had nothing been killed, but for these attempts."""
        assert view.state == "succeeded"
        assert {each.name: each.attempt for each in view.stages} == attempts
        assert (await Client(self.store).output(self.job, "total")) == {"total": TOTAL}
        begun = self.trace.begun()
        assert set(begun) == EVERY_PART
        assert await self.saved() == EVERY_PART
        for each in view.stages:
            died = each.error is not None and each.error.type == "WorkerDied"
            assert died == (attempts[each.name] > 1), each
        await sound(self.store)


@asynccontextmanager
async def trip(settings: StoreSettings, name: str, folder: Path) -> AsyncIterator[Trip]:
    """A new job, in a database of its own."""
    async with database(settings, name) as store:
        yield await begin(store, folder / f"trace-{name}")


async def begin(store: Store, trace: Path) -> Trip:
    """Submit a job that leaves its trace there."""
    job = await submit(Client(store), "chain", str(trace).encode())
    return Trip(store, job.id, Trace(trace))


async def ready_at(journey: Trip, stage: str) -> None:
    """Bring a job to where this stage's task waits to be claimed: nobody who could has gone on with it."""
    store, before = journey.store, STAGES[: STAGES.index(stage)]
    if before:
        async with running(store, CHAIN, WorkerSettings(processes=1), stages=before):
            await until(store, journey.job, ("ready",), stage=stage)
        return
    jobs = await Backlog(store.db, {CHAIN.name: [CHAIN.version]}).best(1, None, whole=True)
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        group.start_soon(committer.run)
        await Admitter(committer, Hosted([CHAIN]), store.vault).admit(jobs, None)
        committer.stop()


async def sound(store: Store) -> None:
    """Make sure that every promise holds, once what killed uploads left behind is swept."""
    await store.documents.sweep(timedelta(0))
    assert await violations(store) == {}


@asynccontextmanager
async def finishing(store: Store, settings: WorkerSettings | None = None) -> AsyncIterator[None]:
    """Run another worker, in this process."""
    async with running(store, CHAIN, settings or WorkerSettings(processes=1)):
        yield


async def finish(journey: Trip, attempts: dict[str, int], settings: WorkerSettings | None = None) -> None:
    """Have another worker finish a job of which a worker was killed, and check everything."""
    saved, before = await journey.saved(), journey.trace.begun()
    async with finishing(journey.store, settings):
        view = await until(journey.store, journey.job)
        await reconciled(journey.store)
    again = {part for part, times in journey.trace.begun().items() if times > before[part]}
    assert not again & saved, "a part that was saved ran again"
    await journey.check(view, attempts)
    await sound(journey.store)
