"""Clocks that tests set, by libfaketime: a mongod's, whose `$$NOW` follows, and a worker process's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.embedded import Embedded, embedded_mongod

MONOTONIC_STAYS = {
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    # The library guesses that waits have to be corrected too; mongod's would then return at once and spin.
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",
}


def skewed(by: timedelta) -> dict[str, str]:
    """Return the environment of a process whose clock is off by so much; its monotonic clock is right."""
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME": f"{by.total_seconds():+.3f}",
        **MONOTONIC_STAYS,
    }


class Clock:
    """The clock of a mongod: the machine's, ahead of it by what it was advanced."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta()
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            **MONOTONIC_STAYS,
        }

    async def advance(self, db: AsyncDatabase[dict[str, Any]], by: timedelta) -> None:
        """Set the clock forward; the server's time is there when this returns."""
        target = await server_time(db) + by
        self._ahead += by
        self._write()
        with anyio.fail_after(30):
            while await server_time(db) < target:  # it looks at its clock every few milliseconds
                pass

    def _write(self) -> None:
        written = self._file.with_suffix(".new")
        written.write_text(f"{self._ahead.total_seconds():+.3f}\n")
        written.rename(self._file)  # the server reads it at any moment


async def server_time(db: AsyncDatabase[dict[str, Any]]) -> datetime:
    """Return what an update would write for `$$NOW`."""
    cursor = await db.aggregate([{"$documents": [{}]}, {"$project": {"now": "$$NOW"}}])
    now: datetime = (await cursor.next())["now"]
    return now


@asynccontextmanager
async def clocked_mongod(folder: Path) -> AsyncIterator[tuple[Embedded, Clock]]:
    """Start a mongod of one's own, with its clock."""
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    clock = Clock(folder / "clock")
    async with embedded_mongod(folder, environment=clock.environment) as running:
        yield running, clock


def _library() -> str:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise RuntimeError("libfaketime is missing: `apt-get install libfaketime`")
    return str(found[0])
