"""SIGKILL in the middle of a document, with real worker processes."""

import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import psutil
import pytest
from anyio.abc import Process

from pipeline.client import Client
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from tests.crash.pages import TRACE
from tests.records import violations
from tests.support import submit, until, worker_process

HELD_AT = 4
"""The page at whose gate the first worker waits until it is killed."""


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / f"gate-{HELD_AT}")
    return tmp_path / "trace"


def worker(
    settings: StoreSettings, trace: Path, name: str, **environment: str
) -> AbstractAsyncContextManager[Process]:
    environment[TRACE] = str(trace)
    return worker_process(settings, "tests.crash.pages:PAGES", "--name", name, **environment)


async def held_job(store: Store, trace: Path) -> str:
    """Submit a job and wait until its worker stands at the gate, with three pages saved."""
    async with store.changes.open(FEED) as changes:
        job = (await submit(Client(store), "pages")).id
        saved = {"job": job}
        with anyio.fail_after(60):
            while HELD_AT not in ran(trace) or await store.db["checkpoints"].count_documents(saved) < 3:
                await changes.read()
    return job


async def killed_in_the_middle(store: Store, settings: StoreSettings, trace: Path, **environment: str) -> str:
    """Submit a job, kill its worker while page 4 runs and three are saved; returns the job's id."""
    async with worker(settings, trace, "first", **environment) as process:
        job = await held_job(store, trace)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    (trace.parent / f"gate-{HELD_AT}").unlink()
    _, left = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(children, timeout=30))
    assert not left, "a killed worker's child processes live on"
    return job


def ran(trace: Path) -> list[int]:
    return [int(line) for line in trace.read_text().split()] if trace.exists() else []


async def test_another_worker_rescues_the_task_when_the_lease_ends(
    store: Store, store_settings: StoreSettings, traces: Path
) -> None:
    job = await killed_in_the_middle(store, store_settings, traces, MILLRACE_WORKER_LEASE="2")
    async with worker(store_settings, traces, "second", MILLRACE_WORKER_LEASE="2"):
        view = await until(store, job)
    assert view.state == "succeeded"
    assert [each.attempt for each in view.stages] == [2, 1]
    assert view.stages[0].error is not None
    assert view.stages[0].error.type == "WorkerDied"
    assert sorted(ran(traces)) == [1, 2, 3, 4, 4, 5, 6]  # only the page in flight ran twice
    assert await Client(store).output(job, "total") == {"total": 91}
    assert await violations(store) == {}


async def test_a_supervisor_releases_a_reaped_worker_at_once(
    store: Store, store_settings: StoreSettings, traces: Path
) -> None:
    job = await killed_in_the_middle(store, store_settings, traces)
    assert await release_worker(store, "first") == 1
    assert (await Client(store).get(job)).stages[0].state == "ready"
    async with worker(store_settings, traces, "second"):  # its leases last 45 s
        with anyio.fail_after(30):
            view = await until(store, job)
    assert view.state == "succeeded"
    assert sorted(ran(traces)) == [1, 2, 3, 4, 4, 5, 6]


async def test_sigterm_gives_the_task_back_uncharged_and_keeps_its_pages(
    store: Store, store_settings: StoreSettings, traces: Path
) -> None:
    async with worker(store_settings, traces, "first", MILLRACE_WORKER_GRACE="0") as process:
        job = await held_job(store, traces)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(30):
            assert await process.wait() == 0
    (traces.parent / f"gate-{HELD_AT}").unlink()
    stopped = await Client(store).get(job)
    assert (stopped.stages[0].state, stopped.stages[0].attempt) == ("ready", 0)
    async with worker(store_settings, traces, "second"):
        assert (await until(store, job)).stages[0].attempt == 1
    assert sorted(ran(traces)) == [1, 2, 3, 4, 4, 5, 6]
