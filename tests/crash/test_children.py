"""Poison: what a document does to the child process that reads it is the end of that attempt only."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import psutil
import pytest
from anyio import to_thread
from pydantic import ByteSize

from pipeline import Document, RetryPolicy, StageContext, stage
from pipeline.client import Client
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.views import JobView
from tests.crash import deaths
from tests.records import violations
from tests.support import Text, pipeline_of, running, submit, until

SETTINGS = WorkerSettings(processes=2, child_memory=ByteSize(256 * 1024**2))


@stage(name="read", retry=RetryPolicy(max_attempts=2, first=timedelta(milliseconds=1)))
async def read(document: Document, context: StageContext) -> Text:
    """Do in a child process what the document says."""
    match (await document.read()).decode().split():
        case [name, "within", seconds]:
            limit = timedelta(seconds=float(seconds))
            await context.run_process(getattr(deaths, name), timeout=limit)
        case [name, pipe]:
            await context.run_process(getattr(deaths, name), pipe)
        case [name]:
            await context.run_process(getattr(deaths, name))
    return Text(text="read")


PIPELINE = pipeline_of(read)


def processes() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@asynccontextmanager
async def one_worker(store: Store) -> AsyncIterator[None]:
    """A worker that is still there at the end, leaves no process behind and breaks no promise."""
    before = processes()
    async with running(store, PIPELINE, SETTINGS):
        yield
        good = await submit(Client(store), "test", b"own_pid")
        assert (await until(store, good.id)).state == "succeeded"
    assert processes() <= before
    assert await violations(store) == {}


async def failed(store: Store, job: str) -> JobView:
    view = await until(store, job)
    assert (view.state, view.stages[0].attempt) == ("failed", 2)
    return view


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@asynccontextmanager
async def announced(pipe: Path) -> AsyncIterator[int]:
    """The process id of who opens the pipe; the end of the block waits for the end of that process."""
    with anyio.fail_after(60):
        with await to_thread.run_sync(pipe.open, abandon_on_cancel=True) as stream:
            yield int(await to_thread.run_sync(stream.readline, abandon_on_cancel=True))
            assert await to_thread.run_sync(stream.read, abandon_on_cancel=True) == ""


@pytest.mark.parametrize(
    ("document", "kind", "reason"),
    [
        (b"raise_error", "ValueError", "page 3 has no colours"),
        (b"segfault", "ChildProcessDied", "killed by SIGSEGV"),
        (b"abort", "ChildProcessDied", "killed by SIGABRT (out of memory, perhaps)"),
        (b"leave", "ChildProcessDied", "exited with code 3"),
        (b"hang within 1", "ChildProcessDied", "took longer than 1 s"),
        (b"take_memory", "ChildProcessDied", "256 MiB (MILLRACE_WORKER_CHILD_MEMORY)"),
        (b"write_garbage", "InvalidAnswer", "no answer to its call"),
        (b"leave_with_an_heir", "ChildProcessDied", "exited with code 3"),
    ],
)
async def test_poison_fails_its_job_alone(store: Store, document: bytes, kind: str, reason: str) -> None:
    async with one_worker(store):
        poisoned = await submit(Client(store), "test", document)
        good = await submit(Client(store), "test", b"own_pid")
        view = await failed(store, poisoned.id)
        assert (await until(store, good.id)).stages[0].attempt == 1
    assert view.error is not None
    assert view.error.type == kind
    assert reason in view.error.message


async def test_a_child_that_is_killed_from_outside(store: Store, pipe: Path) -> None:
    """Others go on while it hangs, and afterwards."""
    async with one_worker(store):
        poisoned = await submit(Client(store), "test", f"announce_and_hang {pipe}".encode())
        for _ in range(2):
            async with announced(pipe) as child:
                good = await submit(Client(store), "test", b"own_pid")
                assert (await until(store, good.id)).state == "succeeded"
                os.kill(child, signal.SIGKILL)
        view = await failed(store, poisoned.id)
    assert view.error is not None
    assert view.error.message == "killed by SIGKILL (out of memory, perhaps)"


@pytest.mark.parametrize("what", ["announce_and_hang", "start_and_hang"])
async def test_a_cancelled_attempt_takes_its_child_along(store: Store, pipe: Path, what: str) -> None:
    """And what the child has started."""
    async with one_worker(store):
        job = await submit(Client(store), "test", f"{what} {pipe}".encode())
        async with announced(pipe):
            assert (await Client(store).cancel(job.id)).state == "cancelled"


async def test_a_hard_stop_takes_the_children_along(store: Store, pipe: Path) -> None:
    before = processes()
    async with running(store, PIPELINE, SETTINGS) as worker:
        job = await submit(Client(store), "test", f"announce_and_hang {pipe}".encode())
        async with announced(pipe):
            worker.stop(now=True)
    assert processes() <= before
    stopped = (await Client(store).get(job.id)).stages[0]
    assert (stopped.state, stopped.attempt) == ("ready", 0)
    assert await violations(store) == {}
