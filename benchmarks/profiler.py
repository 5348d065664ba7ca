"""What mongod's own profiler tells of single operations."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pipeline.store import Store

Entry = dict[str, Any]

_BYTES = 64 * 1024**2


@asynccontextmanager
async def profiled(store: Store, matching: Mapping[str, Any]) -> AsyncIterator[list[Entry]]:
    """Give a list which holds, behind the block, the profiler's entry of every operation that matched.

    Only of the store's database, in the order in which they ended.
    """
    entries: list[Entry] = []
    await store.db.create_collection("system.profile", capped=True, size=_BYTES)
    await store.db.command("profile", 1, filter=dict(matching))
    try:
        yield entries
    finally:
        await store.db.command("profile", 0, filter="unset")
    entries += await store.db["system.profile"].find({}).to_list()
    await store.db.drop_collection("system.profile")
