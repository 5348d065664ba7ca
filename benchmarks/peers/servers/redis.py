"""Redis, with every write on disk before its answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from benchmarks.peers.process import accepts, beside, free_port, running, until
from pipeline.tether import tethered


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[str]:
    """Run a Redis server with `appendfsync always`; it answers a write after its fsync."""
    data, log, port = folder / "redis", folder / "redis.log", free_port()
    data.mkdir()
    command = [
        "redis-server",
        *("--bind", "127.0.0.1", "--port", str(port)),
        *("--dir", str(data)),
        *("--appendonly", "yes", "--appendfsync", "always"),
        *("--save", ""),  # no snapshots beside it
    ]
    async with running(tethered(command), log) as process:
        await beside(process, log, until(partial(accepts, port), every=0.02), seconds=20)
        yield f"redis://127.0.0.1:{port}/0"
