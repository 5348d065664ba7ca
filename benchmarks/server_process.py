"""An HTTP server in a process of its own, on a free port of loopback."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from benchmarks.child import child, cpu_seconds, database_of
from pipeline.store import Store

_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that takes connections."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return what it has computed so far."""
        return cpu_seconds(self.pid)


@asynccontextmanager
async def serving(module: str, *words: str, store: Store, database: str) -> AsyncIterator[ServerProcess]:
    """Run `python -m module words… --port N` on a database of the store's server; stop it behind the block.

    Raises:
        RuntimeError: it ended while it started.
    """
    port = _free_port()
    environment = {**database_of(store), "MILLRACE_DATABASE": database}
    async with child(module, *words, "--port", str(port), environment=environment) as process:
        with anyio.fail_after(_START_SECONDS):
            while not await _answers(port):
                if process.returncode is not None:
                    raise RuntimeError(f"{module} ended with code {process.returncode} while it started")
                await anyio.sleep(0.05)
        yield ServerProcess(port, process.pid)


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
