"""A bare listener in a process of its own: the stream of workers, read with the driver and dropped.

Takes the database from `MILLRACE_MONGODB_URI` and `MILLRACE_DATABASE`, and says `ready` when it hears.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from subprocess import PIPE

import anyio
from anyio.abc import Process

from benchmarks.child import child, database_of
from pipeline.cycles import search_seldom
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import MAX_AWAIT, WORK

_START_SECONDS = 60


@asynccontextmanager
async def bare_listener(store: Store) -> AsyncIterator[Process]:
    """Run one on the store's database until the end of the block; it hears by then."""
    async with child("benchmarks.bare_listener", environment=database_of(store), stdout=PIPE) as process:
        assert process.stdout is not None  # noqa: S101 -- it is a pipe
        with anyio.fail_after(_START_SECONDS):
            await process.stdout.receive()
        yield process


async def _listen() -> None:
    search_seldom()
    wait = MAX_AWAIT // timedelta(milliseconds=1)
    async with (
        Store(StoreSettings()) as store,
        await store.db.watch(list(WORK), max_await_time_ms=wait) as stream,
    ):
        print("ready", flush=True)  # noqa: T201 -- what the other process waits for
        while stream.alive:
            await stream.try_next()


if __name__ == "__main__":
    anyio.run(_listen)
