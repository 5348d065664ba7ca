"""Which limits have held something back, told to all workers: who was refused may be gone later."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from pipeline.limit import Mark
from pipeline.store.driver import Doc, translated


class Refills:
    """The collection `refills`. Its inserts and replacements are what workers hear of."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._refills = db["refills"]

    @translated
    async def tell(self, waits: Mapping[Mark, float], worker: str) -> None:
        """Tell in how many seconds these may have room for what a worker was refused."""
        for (subject, unit), wait in waits.items():
            # The stamp makes each another document: one that is replaced by the same is no event.
            document = {"_id": f"{subject}#{unit or ''}", "wait": wait, "worker": worker, "stamp": ObjectId()}
            try:
                await self._refills.replace_one({"_id": document["_id"]}, document, upsert=True)
            except DuplicateKeyError:  # somebody else has told it just now
                continue


def refill_of(id_: str, fields: Mapping[str, Any]) -> tuple[Mark, float]:
    """Return what an event of the collection tells: what was full, and its seconds."""
    subject, _, unit = id_.rpartition("#")
    return (subject, unit or None), float(fields["wait"])
