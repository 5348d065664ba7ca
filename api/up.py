"""`millrace up`: everything on one machine. It starts what is needed, and again what dies."""

import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process
from pydantic import SecretStr

from pipeline.embedded import embedded_mongod
from pipeline.errors import MillraceError, StoreError
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.tether import tethered

_log = logging.getLogger("millrace.up")

STOP_SECONDS = 25.0
"""For the children to stop by themselves; together with mongod's stop it stays within 30 s."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a child that died is started again; doubled while it keeps dying young."""
OLD = 30.0
"""Seconds of life after which a death isn't taken for a failed start."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    host: str
    port: int
    data: Path
    workers: int
    pipelines: Sequence[str] = ()
    unprotected: bool = False


@asynccontextmanager
async def database(data: Path, settings: StoreSettings) -> AsyncIterator[StoreSettings]:
    """Give the settings of the configured database, or of an embedded one in `data`, started and stopped."""
    if settings.mongodb_uri is not None:
        yield settings
        return
    async with embedded_mongod(data / "mongod") as mongod:
        yield settings.model_copy(update={"mongodb_uri": SecretStr(mongod.uri)})


async def up(plan: Plan) -> None:
    """Run until SIGTERM or SIGINT; then stop everything, within 30 seconds.

    Raises:
        MillraceError: the database or the port can't be used.
    """
    _require_free(plan.host, plan.port)
    async with database(plan.data, StoreSettings()) as settings, Store(settings) as store:
        for change in await store.install():
            _log.info("database: %s", change)
        supervisor = Supervisor(store, settings)
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_on_signal, supervisor)
            async with anyio.create_task_group() as children:
                children.start_soon(supervisor.keep, "api", lambda _: _api(plan))
                for number in range(1, plan.workers + 1):
                    children.start_soon(supervisor.keep, f"worker-{number}", lambda name: _worker(plan, name))
                _log.info("http://%s:%d/ (data in %s)", plan.host, plan.port, plan.data)
            group.cancel_scope.cancel()


class Supervisor:
    """Keeps children running, and gives back what a dead worker held."""

    def __init__(self, store: Store, settings: StoreSettings) -> None:
        self._store = store
        uri = settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else ""
        self._environment = {
            **os.environ,
            "MILLRACE_MONGODB_URI": uri,
            "MILLRACE_DATABASE": settings.database,
        }
        self._running: set[Process] = set()
        self._stopping = anyio.Event()

    def stop(self) -> None:
        """Tell every child to stop: SIGTERM."""
        self._stopping.set()
        for process in self._running:
            _signal(process, signal.SIGTERM)

    def kill(self) -> None:
        """End every child that is still there."""
        for process in self._running:
            _signal(process, signal.SIGKILL)

    async def keep(self, role: str, command: Callable[[str], list[str]]) -> None:
        """Run a child, again after its death, until stopped; `command` is called with a fresh name."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            name = f"{socket.gethostname()}-{role}-{secrets.token_hex(3)}"
            started = anyio.current_time()
            code = await self._run(command(name))
            if role != "api":
                await self._release(name)
            if self._stopping.is_set():
                return
            _log.warning("%s ended with %s; starting another", role, _ending(code))
            pause = FIRST_PAUSE if anyio.current_time() - started > OLD else min(2 * pause, LONGEST_PAUSE)
            with anyio.move_on_after(pause):
                await self._stopping.wait()

    async def _run(self, command: list[str]) -> int:
        # A session of its own: Ctrl-C in the terminal reaches this process only, which passes it on once.
        process = await anyio.open_process(
            tethered(command),
            stdin=None,
            stdout=None,
            stderr=None,
            env=self._environment,
            start_new_session=True,
        )
        self._running.add(process)
        try:
            return await process.wait()
        finally:
            self._running.discard(process)
            if process.returncode is None:
                _signal(process, signal.SIGKILL)

    async def _release(self, worker: str) -> None:
        """The process is reaped, so it can't write any more: no need to wait for its leases to end."""
        try:
            released = await release_worker(self._store, worker)
        except StoreError as error:
            _log.warning("the leases of %s have to run out: %s", worker, error)
            return
        if released:
            _log.warning("gave back %d tasks that %s held", released, worker)


async def _stop_on_signal(supervisor: Supervisor) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            supervisor.stop()
            with anyio.move_on_after(STOP_SECONDS):
                async for _ in signals:
                    break
            supervisor.kill()


def _api(plan: Plan) -> list[str]:
    options = [
        "--host",
        plan.host,
        "--port",
        str(plan.port),
        *(["--unprotected"] if plan.unprotected else []),
    ]
    return [*_millrace("api"), *options, *_pipelines(plan)]


def _worker(plan: Plan, name: str) -> list[str]:
    return [*_millrace("worker"), "--name", name, *_pipelines(plan)]


def _pipelines(plan: Plan) -> list[str]:
    return [word for name in plan.pipelines for word in ("--pipeline", name)]


def _millrace(verb: str) -> list[str]:
    return [sys.executable, "-m", "api", verb]


def _signal(process: Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MillraceError(
                f"{host}:{port} can't be used ({error.strerror}); choose another --port"
            ) from error
