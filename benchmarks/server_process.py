"""An HTTP server in a process of its own, on a free port of loopback."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from subprocess import DEVNULL

import anyio
import psutil

from pipeline.store import Store
from pipeline.tether import tethered

_START_SECONDS = 30
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that takes connections."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return what it has computed so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def serving(module: str, *words: str, store: Store, database: str) -> AsyncIterator[ServerProcess]:
    """Run `python -m module words… --port N` on a database of the store's server; stop it behind the block.

    Raises:
        RuntimeError: it ended while it started.
    """
    uri = store.settings.mongodb_uri
    assert uri is not None  # noqa: S101 -- a connected store has one
    port = _free_port()
    environment = {
        **os.environ,
        "MILLRACE_MONGODB_URI": uri.get_secret_value(),
        "MILLRACE_DATABASE": database,
    }
    command = [sys.executable, "-m", module, *words, "--port", str(port)]
    process = await anyio.open_process(
        tethered(command), stdin=DEVNULL, stdout=DEVNULL, stderr=None, env=environment
    )
    try:
        with anyio.fail_after(_START_SECONDS):
            while not await _answers(port):
                if process.returncode is not None:
                    raise RuntimeError(f"{module} ended with code {process.returncode} while it started")
                await anyio.sleep(0.05)
        yield ServerProcess(port, process.pid)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
            with anyio.move_on_after(_STOP_SECONDS):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _answers(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
