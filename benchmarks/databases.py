"""Further databases of a benchmark's mongod."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.ground import verify
from pipeline.store import Store


@asynccontextmanager
async def database(beside: Store, name: str) -> AsyncIterator[Store]:
    """Install a database on the mongod of a store; verified at the end of the block, and dropped."""
    settings = beside.settings.model_copy(update={"database": name})
    async with Store(settings) as store:
        await store.install()
        yield store
        await verify(store)
        await store.db.client.drop_database(name)
