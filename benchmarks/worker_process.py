"""Worker processes, started by the command line as users start them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import psutil
from anyio.abc import Process

from benchmarks.child import child, cpu_seconds, database_of
from pipeline.store import Store

NOOP_NAME = "benchmarks.ground:NOOP"
_LOOK_AGAIN = 0.02
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A running worker."""

    name: str
    process: Process

    def cpu_seconds(self) -> float:
        """Return what it has computed so far."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Return the memory that it occupies now."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def kill(self) -> None:
        """End it as `kill -9` does, and reap it."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def worker_process(
    store: Store, name: str, *options: str, pipeline: str = NOOP_NAME, **environment: str
) -> AsyncIterator[WorkerProcess]:
    """Run `millrace worker` on the store's database until the end of the block, where it is stopped softly.

    It may not be ready yet when the block begins: `until_registered` waits for that.
    """
    words = ("worker", "--pipeline", pipeline, "--name", name, *options)
    variables = {
        **database_of(store),
        "MILLRACE_MONGODB_URI": named_uri(store, name),
        "MILLRACE_LOG_LEVEL": "ERROR",
        **environment,
    }
    async with child("api", *words, environment=variables) as process:
        yield WorkerProcess(name, process)


def named_uri(store: Store, name: str) -> str:
    """Return the connection string of a client which mongod tells from others by this name."""
    return f"{database_of(store)['MILLRACE_MONGODB_URI']}&appName={name}"


async def until_registered(store: Store, *workers: WorkerProcess) -> None:
    """Wait until these workers have registered.

    Raises:
        RuntimeError: one has ended while it started.
    """
    names = [each.name for each in workers]
    with anyio.fail_after(_START_SECONDS):
        while await store.db["workers"].count_documents({"_id": {"$in": names}}) < len(names):
            for each in workers:
                if each.process.returncode is not None:
                    raise RuntimeError(f"{each.name} ended with code {each.process.returncode}")
            await anyio.sleep(_LOOK_AGAIN)
