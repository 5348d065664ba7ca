"""Where listener roles are in the change stream, and the gaps that they met.

One position per role, not per process: whoever takes the role goes on from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from pipeline.store.changes import Stages, fingerprint
from pipeline.store.driver import Doc, translated


@dataclass(frozen=True, slots=True)
class SavedPosition:
    """Where a listener role was."""

    token: str
    fingerprint: str
    gap: Mapping[str, Any] | None
    """An open gap, which has to be reconciled first."""


class Listeners:
    """The collections `listeners` and `gaps`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._listeners = db["listeners"]
        self._gaps = db["gaps"]

    @translated
    async def position(self, role: str) -> SavedPosition | None:
        """Return where this role was, None when it never listened."""
        found = await self._listeners.find_one({"_id": role})
        if found is None or "token" not in found:
            return None
        return SavedPosition(found["token"], found["fingerprint"], found.get("gap"))

    @translated
    async def save(self, role: str, token: str, stages: Stages) -> bool:
        """Advance a role's position; never back. False when it was there, or further, already."""
        update = {"token": token, "fingerprint": fingerprint(stages), "saved_at": "$$NOW"}
        ahead = {"_id": role, "$or": [{"token": {"$lt": token}}, {"token": {"$exists": False}}]}
        try:
            result = await self._listeners.update_one(ahead, [{"$set": update}], upsert=True)
        except DuplicateKeyError:
            return False  # the role exists and is further: the upsert met it
        return bool(result.modified_count or result.upserted_id)

    @translated
    async def open_gap(self, role: str, token: str, stages: Stages, *, lost: str | None, why: str) -> None:
        """Record, in one write, a new stream's position and the stretch before it that can't be read.

        Another worker of the role may have done so meanwhile: a position that is further, and is not the
        lost one, stays; a gap that is open already is made longer, not forgotten.
        """
        stale = {"$or": [{"$lt": ["$token", token]}, {"$eq": ["$token", lost]}]}
        gap = {
            "from": {"$ifNull": ["$gap.from", lost]},
            "to": token,
            "why": {"$literal": why},
            "opened_at": "$$NOW",
        }
        update = {
            "token": {"$cond": [stale, token, "$token"]},
            "fingerprint": fingerprint(stages),
            "saved_at": "$$NOW",
            "gap": gap,
        }
        await self._listeners.update_one({"_id": role}, [{"$set": update}], upsert=True)

    @translated
    async def close_gap(self, role: str, gap: Mapping[str, Any], found: int) -> None:
        """Move a role's gap to the closed ones, with how many jobs its reconciliation found.

        Two writes; done again after a crash between them, as the gap's id is its own.
        """
        update = {
            "$mergeObjects": [{"$literal": dict(gap)}, {"role": role, "found": found, "closed_at": "$$NOW"}]
        }
        key = f"{role}/{gap['to']}"
        await self._gaps.update_one(
            {"_id": key}, [{"$replaceWith": {"$mergeObjects": [update, {"_id": key}]}}], upsert=True
        )
        await self._listeners.update_one({"_id": role, "gap.to": gap["to"]}, {"$set": {"gap": None}})

    @translated
    async def resumed(self, role: str, worker: str, *, age: timedelta, events: int) -> None:
        """Note what a worker's resume replayed: the token's age, and the events since then."""
        note = {"worker": worker, "token_age": age.total_seconds(), "events": events, "at": "$$NOW"}
        await self._listeners.update_one({"_id": role}, [{"$set": {"resumed": note}}])

    @translated
    async def list(self) -> list[Doc]:
        """Return all roles with their positions and open gaps."""
        return await self._listeners.find({}).sort("_id", 1).to_list()
