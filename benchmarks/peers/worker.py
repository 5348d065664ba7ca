"""A peer's worker process: `python -m benchmarks.peers.worker MODULE:CLASS SETTING ADDRESS…`."""

import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process

from benchmarks.peers.peer import Addresses, load
from benchmarks.peers.process import running
from pipeline.tether import tethered

_STARTED = "MILLRACE_BENCHMARK_STARTED"


@asynccontextmanager
async def worker_process(
    location: str, setting: str, addresses: Addresses, log: Path, started_file: Path
) -> AsyncIterator[Process]:
    """Run a worker process of this peer until the end of the block."""
    await anyio.Path(started_file).unlink(missing_ok=True)
    command = [sys.executable, "-m", __name__, location, setting, *addresses]
    async with running(tethered(command), log, environment={_STARTED: str(started_file)}) as process:
        yield process


def started() -> None:
    """Note, in the worker, that it begins to take work: the first call counts."""
    file = os.environ.pop(_STARTED, None)
    if file is not None:
        part = Path(f"{file}.part")
        part.write_text(str(time.monotonic()))
        part.rename(file)


def started_at(started_file: Path) -> float:
    """Return when the worker began, by the monotonic clock that all processes here share."""
    return float(started_file.read_text())


def main(arguments: Sequence[str]) -> None:
    """Be a worker."""
    location, setting, *addresses = arguments
    load(location).work(setting, addresses)


if __name__ == "__main__":
    main(sys.argv[1:])
