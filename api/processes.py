"""What `millrace worker` and `millrace api` run."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence

import anyio
import uvicorn
from anyio.abc import TaskStatus
from fastapi import FastAPI

from api.app import create_app
from api.services import Services
from pipeline import telemetry
from pipeline.cycles import search_seldom
from pipeline.errors import MillraceError
from pipeline.settings import ApiSettings, StoreSettings, WorkerSettings
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.worker import Worker

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_STOP_SECONDS = 5
_THREAD_SECONDS = 0.2
"""For a thread to end by itself; those that wait for work do so at once."""

_log = logging.getLogger("millrace.worker")


class Server(uvicorn.Server):
    """An HTTP server that ends its event streams when it stops, instead of waiting for their readers."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(app, host, port, log_config=None, timeout_graceful_shutdown=_STOP_SECONDS)
        )
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        services: Services = self._app.state.services
        services.feed.close()
        await super().shutdown(sockets)


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
        async with anyio.create_task_group() as group:
            await group.start(_stop_on_signal, worker)
            await worker.run()
            group.cancel_scope.cancel()


async def _stop_on_signal(worker: Worker, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        again = False
        async for _ in signals:
            worker.stop(now=again)
            again = True


async def _check_database() -> None:
    """Fail here, as every other command does, instead of inside the HTTP server's start."""
    async with Store(StoreSettings()):
        pass


def run_api(pipelines: Sequence[Pipeline], host: str, port: int, *, unprotected: bool) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises:
        MillraceError: the address can be reached from outside, and that was not allowed explicitly.
        StoreError: the database can't be used.
    """
    if host not in LOOPBACK and not unprotected:
        raise MillraceError(
            f"{host} can be reached from other machines, and this API asks nobody for a key. Bind 127.0.0.1 "
            "and put a proxy that authenticates before it, or pass --unprotected if the network is trusted."
        )
    search_seldom()
    anyio.run(_check_database)
    telemetry.configure("millrace-api")
    app = create_app(pipelines, settings=ApiSettings())
    Server(app, host, port).run()
