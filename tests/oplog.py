"""A mongod whose history is so short that it can be rolled over within a second or two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
from pydantic import SecretStr

from pipeline.embedded import embedded_mongod
from pipeline.errors import HistoryLost
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import WORK

_AT_ONCE = timedelta(milliseconds=1)


@asynccontextmanager
async def short_history(folder: Path, database: str) -> AsyncIterator[Store]:
    """Run a mongod of its own, with an oplog of 1 MB.

    The oplog is only cut up to the last checkpoint, which is every 60 seconds by default.
    """
    async with embedded_mongod(folder, oplog_megabytes=1, options=["--syncdelay", "1"]) as mongod:
        async with Store(StoreSettings(mongodb_uri=SecretStr(mongod.uri), database=database)) as store:
            await store.install()
            yield store


async def write_some(store: Store) -> None:
    """Write sixteen times as much as the oplog is to hold."""
    padding = store.db["padding"]
    await padding.insert_many([{"bytes": b"x" * 1_000_000} for _ in range(16)])
    await padding.delete_many({})


async def roll_over(store: Store, token: str) -> None:
    """Write until no stream can be resumed at this position."""
    with anyio.fail_after(90):
        while await _can_resume(store, token):
            await write_some(store)


async def position(store: Store) -> str:
    """Return the position after everything that there is."""
    async with store.changes.open(WORK, wait=_AT_ONCE) as stream:
        await stream.read()
        return stream.token


async def _can_resume(store: Store, token: str) -> bool:
    try:
        async with store.changes.open(WORK, after=token, wait=_AT_ONCE) as stream:
            await stream.read()
    except HistoryLost:
        return False
    return True
