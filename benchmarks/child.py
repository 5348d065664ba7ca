"""Python modules that run in a process of their own, beside the benchmark."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from subprocess import DEVNULL

import anyio
import psutil
from anyio.abc import Process

from pipeline.store import Store
from pipeline.tether import tethered

_STOP_SECONDS = 20


@asynccontextmanager
async def child(
    module: str, *words: str, environment: Mapping[str, str], stdout: int = DEVNULL
) -> AsyncIterator[Process]:
    """Run `python -m module words…` until the end of the block; there it is stopped softly, then by force."""
    process = await anyio.open_process(
        tethered([sys.executable, "-m", module, *words]),
        stdin=DEVNULL,
        stdout=stdout,
        stderr=None,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
            with anyio.move_on_after(_STOP_SECONDS):
                await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()


def database_of(store: Store) -> dict[str, str]:
    """Return the variables by which a process finds the store's database."""
    uri = store.settings.mongodb_uri
    assert uri is not None  # noqa: S101 -- a connected store has one
    return {"MILLRACE_MONGODB_URI": uri.get_secret_value(), "MILLRACE_DATABASE": store.settings.database}


def cpu_seconds(pid: int) -> float:
    """Return what a process has computed so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
