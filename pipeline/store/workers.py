"""Who is alive: registration, signs of life, and the end of a dead worker's transactions."""

import logging
from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from pipeline.store.driver import Doc, translated

_log = logging.getLogger("millrace.store")
_UNAUTHORIZED = 13


class Workers:
    """The collection `workers`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._workers = db["workers"]
        self._db = db

    @translated
    async def register(
        self, worker: str, *, host: str, pid: int, queues: Sequence[str], slots: int, sessions: Sequence[Any]
    ) -> None:
        """Write who this is; `sessions` are those in which it runs transactions."""
        fields = {
            "host": host,
            "pid": pid,
            "queues": list(queues),
            "slots": slots,
            "sessions": list(sessions),
            "state": "alive",
        }
        update = {
            **{key: {"$literal": value} for key, value in fields.items()},
            "started_at": "$$NOW",
            "seen_at": "$$NOW",
        }
        await self._workers.update_one({"_id": worker}, [{"$set": update}], upsert=True)

    @translated
    async def seen(self, worker: str) -> None:
        """Give a sign of life."""
        await self._workers.update_one({"_id": worker}, [{"$set": {"seen_at": "$$NOW"}}])

    @translated
    async def deregister(self, worker: str) -> None:
        """Leave: nothing of this worker is held any more."""
        await self._workers.delete_one({"_id": worker})

    @translated
    async def list(self) -> list[Doc]:
        """Return all workers that have not left."""
        return await self._workers.find({}, {"sessions": 0}).sort("_id", 1).to_list()

    @translated
    async def end_sessions(self, worker: str) -> None:
        """End a dead worker's transactions, which would hold their locks for a minute otherwise.

        Needs the `killAnySession` privilege where access control is on; without it the locks are
        waited for, and that is logged.
        """
        found = await self._workers.find_one({"_id": worker}, {"sessions": 1})
        if found is None or not found.get("sessions"):
            return
        try:
            await self._db.command("killSessions", [{"id": session} for session in found["sessions"]])
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            _log.warning(
                "no privilege to end the sessions of dead worker %s: its locks last a minute", worker
            )
