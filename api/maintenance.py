"""What `millrace install` and `millrace verify` run."""

from pathlib import Path

import anyio

from api.up import database
from pipeline.errors import MillraceError
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.repair import Verification


async def install() -> list[str]:
    """Bring the configured database up to date; returns what was changed."""
    async with Store(StoreSettings()) as store:
        return await store.install()


async def verify(data: Path, *, repair: bool) -> Verification:
    """Check every promise over the configured database, or the embedded one in `data`; `repair` before.

    Raises:
        MillraceError: there is no such folder or database, or it can't be checked.
    """
    settings = StoreSettings()
    if settings.mongodb_uri is None and not await anyio.Path(data / "mongod").is_dir():
        raise MillraceError(f"{data} holds no embedded MongoDB, and MILLRACE_MONGODB_URI is not set")
    async with database(data, settings) as found, Store(found) as store:
        if not await store.is_installed():
            raise MillraceError(
                f"the database {found.database!r} is not Millrace's: is MILLRACE_DATABASE right?"
            )
        return await store.repair() if repair else Verification(findings=await store.audit())
