"""What `millrace install` and `millrace verify` run."""

from pathlib import Path

import anyio

from api.up import database
from pipeline.errors import MillraceError
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.audit import Finding


async def install() -> list[str]:
    """Bring the configured database up to date; returns what was changed."""
    async with Store(StoreSettings()) as store:
        return await store.install()


async def verify(data: Path) -> list[Finding]:
    """Check every promise over the configured database, or the embedded one in `data`.

    Raises:
        MillraceError: there is no such folder.
    """
    settings = StoreSettings()
    if settings.mongodb_uri is None and not await anyio.Path(data / "mongod").is_dir():
        raise MillraceError(f"{data} holds no embedded MongoDB, and MILLRACE_MONGODB_URI is not set")
    async with database(data, settings) as found, Store(found) as store:
        return await store.audit()
