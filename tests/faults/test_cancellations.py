"""Cancelling in every state that a job can be in: nothing comes after it."""

import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import psutil
import pytest

from pipeline import Document, PermanentError, Pipeline, StageContext, TemporaryError, stage
from pipeline.client import Client
from pipeline.errors import StateConflict
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from tests.faults.history import recorded
from tests.records import admitted, violations
from tests.support import COUNTING, Text, pipeline_of, reconciled, running, submit, until

BY_EVENT = WorkerSettings(lease=timedelta(hours=1), slots=16)
"""No renewal notices that a lease is gone: only the event of the cancelled task can stop its attempt."""


async def cancelled(store: Store, job: str) -> None:
    view = await Client(store).cancel(job)
    assert view.state == "cancelled"
    assert {each.state for each in view.stages} <= {"succeeded", "cancelled", "waiting"}


async def check_nothing_more(store: Store, job: str, pipeline: Pipeline) -> None:
    """A worker that comes now does nothing with the job, though it does its work."""
    async with running(store, pipeline):
        other = await submit(Client(store), pipeline.name)
        await until(store, other.id)
        await reconciled(store)
    view = await Client(store).get(job)
    assert view.state == "cancelled"
    assert await violations(store) == {}
    with pytest.raises(StateConflict):
        await Client(store).cancel(job)
    with pytest.raises(StateConflict):
        await Client(store).retry(job)


async def _submitted(store: Store) -> str:
    return (await submit(Client(store), "counting")).id


async def _ready(store: Store) -> str:
    return (await admitted(store))[0]


async def _due_later(store: Store) -> str:
    return (await admitted(store, run_at=datetime.now(UTC) + timedelta(hours=1)))[0]


async def _between_stages(store: Store) -> str:
    async with running(store, COUNTING, stages=["read"]):
        job = (await submit(Client(store), "counting")).id
        await until(store, job, ("ready",), stage="count")
    return job


@pytest.mark.parametrize("state", [_submitted, _ready, _due_later, _between_stages])
async def test_a_job_that_waits_is_cancelled_for_good(
    store: Store, state: Callable[[Store], Awaitable[str]]
) -> None:
    async with recorded(store) as history:
        job = await state(store)
        await cancelled(store, job)
        await check_nothing_more(store, job, COUNTING)
    history.check(job, "cancelled")


async def test_a_task_that_was_put_off_is_cancelled_for_good(store: Store) -> None:
    @stage(name="busy")
    async def busy(document: Document, context: StageContext) -> Text:
        if await document.read() == b"busy":
            raise TemporaryError("later", retry_after=timedelta(hours=1))
        return Text(text="")

    async with recorded(store) as history:
        async with running(store, pipeline_of(busy)):
            job = (await submit(Client(store), "test", b"busy")).id
            while not (await until(store, job, ("ready",), stage="busy")).stages[0].error:
                pass  # `ready` before its first claim, too
            await cancelled(store, job)
        await check_nothing_more(store, job, pipeline_of(busy))
    history.check(job, "cancelled")


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled"])
async def test_a_job_that_has_ended_cannot_be_cancelled(store: Store, ending: str) -> None:
    @stage(name="ends")
    async def ends(document: Document, context: StageContext) -> Text:
        if await document.read() == b"failed":
            raise PermanentError("planned")
        return Text(text="")

    async with recorded(store) as history:
        job = (await submit(Client(store), "test", ending.encode())).id
        if ending == "cancelled":
            await cancelled(store, job)
        else:
            async with running(store, pipeline_of(ends)):
                await until(store, job)
                await reconciled(store)  # the job may end before the new worker has closed its gap
        with pytest.raises(StateConflict, match=ending):
            await Client(store).cancel(job)
    history.check(job, ending)
    assert await violations(store) == {}


def stand_still(pid: str) -> None:
    """In a child process: tell who it is, through a fifo, and never return."""
    Path(pid).write_text(str(os.getpid()))
    signal.pause()


async def test_a_running_attempt_stops_and_its_child_process_dies(store: Store, tmp_path: Path) -> None:
    fifo, stopped = tmp_path / "pid", anyio.Event()
    os.mkfifo(fifo)

    @stage(name="still")
    async def still(document: Document, context: StageContext) -> Text:
        if await document.read() != b"still":
            return Text(text="")
        try:
            await context.run_process(stand_still, str(fifo))
        finally:
            stopped.set()
        raise AssertionError

    async with recorded(store) as history:
        async with running(store, pipeline_of(still), BY_EVENT):
            job = (await submit(Client(store), "test", b"still")).id
            with anyio.fail_after(60):
                child = psutil.Process(int(await anyio.Path(fifo).read_text()))
                await cancelled(store, job)
                await stopped.wait()
            _, left = await anyio.to_thread.run_sync(lambda: psutil.wait_procs([child], timeout=30))
            assert not left, "the child process of a cancelled attempt lives on"
        await check_nothing_more(store, job, pipeline_of(still))
    history.check(job, "cancelled")
