"""What `millrace worker` runs."""

import logging
import os
import signal
import threading
from collections.abc import Sequence

import anyio
from anyio.abc import TaskStatus

from pipeline import telemetry
from pipeline.cycles import search_seldom
from pipeline.errors import PreparationFailed
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.worker import Worker

_THREAD_SECONDS = 0.2
"""For a thread to end by itself; those that wait for work do so at once."""

_log = logging.getLogger("millrace.worker")


def run_worker(
    pipelines: Sequence[Pipeline], settings: WorkerSettings, stages: Sequence[str] | None, name: str | None
) -> None:
    """Work until SIGTERM or SIGINT: the first one is a soft stop, a second one immediate."""
    search_seldom()
    anyio.run(_work, pipelines, settings, stages, name)
    left = [each for each in threading.enumerate() if _is_left_behind(each)]
    if left:
        # Python would wait for plain stage functions that were given up, perhaps for ever.
        _log.warning("leaving %d threads behind: stage functions that did not return", len(left))
        telemetry.flush()
        logging.shutdown()
        os._exit(0)


def _is_left_behind(thread: threading.Thread) -> bool:
    if thread.daemon or thread is threading.main_thread():
        return False
    thread.join(_THREAD_SECONDS)
    return thread.is_alive()


async def _work(
    pipelines: Sequence[Pipeline], settings: WorkerSettings, stages: Sequence[str] | None, name: str | None
) -> None:
    telemetry.configure("millrace-worker")
    async with Store(StoreSettings()) as store:
        worker = Worker(store, pipelines, settings, stages=stages, name=name)
        failure: PreparationFailed | None = None
        async with anyio.create_task_group() as group:
            await group.start(_stop_on_signal, worker)
            try:
                await worker.run()
            except PreparationFailed as error:
                _log.exception("the worker does not start")
                failure = error  # raised below: from here it would come in a group
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure


async def _stop_on_signal(worker: Worker, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        again = False
        async for _ in signals:
            worker.stop(now=again)
            again = True
