"""mongod: a replica set of one, as in all other benchmarks, but for its cache."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline import embedded
from pipeline.errors import MillraceError


def find_mongod() -> str | None:
    """Return the path of a mongod; None when there is none."""
    try:
        return embedded.find_mongod()
    except MillraceError:
        return None


CACHE_GIGABYTES = 4
"""By itself mongod would take half of the memory; with the embedded one's half a gigabyte it evicts."""


@asynccontextmanager
async def mongod(folder: Path) -> AsyncIterator[str]:
    """Run a mongod. Its clients write with majority, which includes the journal."""
    async with embedded.embedded_mongod(folder / "mongod", cache_gigabytes=CACHE_GIGABYTES) as running:
        yield running.uri
