"""Processes of a benchmark: servers and workers, ended with it."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, STDOUT
from typing import Any, TypeVar

import anyio
from anyio.abc import Process

T = TypeVar("T")

_STOP_SECONDS = 15.0
_LOG_END = 2000


@asynccontextmanager
async def running(
    command: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> AsyncIterator[Process]:
    """Run a program with its output in `log`; `stop` it on the way out, and kill it if it stays."""
    with log.open("ab") as output:
        process = await anyio.open_process(
            command, stdin=DEVNULL, stdout=output, stderr=STDOUT, env={**os.environ, **(environment or {})}
        )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, stop)


async def _end(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.wait()


async def beside(process: Process, log: Path, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Do something that needs a process, and return what it returns.

    Raises:
        RuntimeError: the process ended before, or it took too long; with the end of its log.
    """
    working, ending = asyncio.create_task(work), asyncio.create_task(process.wait())
    try:
        await asyncio.wait({working, ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        what = f"ended with code {await ending}" if ending.done() else f"was not done after {seconds:.0f} s"
        raise RuntimeError(f"{log.stem} {what}: {_end_of(log)}")
    finally:
        working.cancel()
        ending.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


async def until(happened: Callable[[], Awaitable[bool]], *, every: float) -> None:
    """Ask again and again until something has happened."""
    while not await happened():  # noqa: ASYNC110 -- it is outside, and tells nobody
        await anyio.sleep(every)


async def accepts(port: int) -> bool:
    """Tell whether something listens on this port of loopback."""
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_LOG_END:] if log.exists() else "(it said nothing)"
