"""Who is alive: registration, signs of life, and the end of a dead worker's transactions."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pymongo
from bson.binary import Binary
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from pipeline.errors import StoreError
from pipeline.store.driver import Doc, translated
from pipeline.updates import after

_log = logging.getLogger("millrace.store")
_UNAUTHORIZED = 13

DEAD_FOR = timedelta(hours=1)
"""Silence after which a worker's record is removed; its sessions have ended by themselves by then."""


class Workers:
    """The collection `workers`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._workers = db["workers"]
        self._db = db

    @translated
    async def register(
        self,
        worker: str,
        *,
        host: str,
        pid: int,
        queues: Sequence[str],
        slots: int,
        sessions: Sequence[Any],
        alive_for: timedelta,
    ) -> datetime:
        """Write who this is, return the server's time; `sessions` are those in which it runs transactions."""
        fields = {
            "host": host,
            "pid": pid,
            "queues": list(queues),
            "slots": slots,
            "sessions": list(sessions),
        }
        update = {key: {"$literal": value} for key, value in fields.items()}
        times = {"started_at": "$$NOW", "seen_at": "$$NOW", "alive_until": after(alive_for)}
        registered = await self._update(worker, {**update, **times}, upsert=True)
        if registered is None:
            raise StoreError("MongoDB did not return the worker that it has registered")
        return registered

    @translated
    async def seen(self, worker: str, alive_for: timedelta, *, listening: bool) -> datetime | None:
        """Give a sign of life, good for as long as a lease, and tell whether the change stream is well.

        Returns the server's time; None when the worker isn't registered any more.

        Raises:
            StoreUnavailable: there was no answer within a quarter of that time.
        """
        update = {"seen_at": "$$NOW", "alive_until": after(alive_for), "listening": listening}
        with pymongo.timeout(alive_for.total_seconds() / 4):
            return await self._update(worker, update, upsert=False)

    async def _update(self, worker: str, update: Doc, *, upsert: bool) -> datetime | None:
        found = await self._workers.find_one_and_update(
            {"_id": worker},
            [{"$set": update}],
            {"seen_at": 1},
            upsert=upsert,
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else found["seen_at"]

    @translated
    async def deregister(self, worker: str) -> None:
        """Leave: nothing of this worker is held any more."""
        await self._workers.delete_one({"_id": worker})

    @translated
    async def forget(self, dead_for: timedelta) -> int:
        """Remove workers that have given no sign of life for that long, far beyond any lease.

        Returns how many there were.
        """
        limit = {"$subtract": ["$$NOW", int(dead_for / timedelta(milliseconds=1))]}
        result = await self._workers.delete_many({"$expr": {"$lt": ["$alive_until", limit]}})
        return result.deleted_count

    @translated
    async def alive(self) -> list[Doc]:
        """Return the workers that are alive by the server's clock, oldest first."""
        alive = {"$expr": {"$gt": ["$alive_until", "$$NOW"]}}
        return await self._workers.find(alive, {"sessions": 0}).sort("started_at", 1).to_list()

    @translated
    async def registered(self) -> list[Doc]:
        """Return all workers that have not left, with their queues; `alive` tells apart who is silent."""
        alive = {"$gt": ["$alive_until", "$$NOW"]}
        return await self._workers.find({}, {"queues": 1, "alive": alive}).to_list()

    @translated
    async def end_sessions(self, worker: str) -> None:
        """End a dead worker's transactions, which would hold their locks for a minute otherwise.

        Needs the `killAnySession` privilege where access control is on; without it the locks are
        waited for, and that is logged.
        """
        await self._end_sessions({"_id": worker})

    @translated
    async def end_sessions_of_silent(self) -> None:
        """End the transactions of all workers that have given no sign of life in time, see `end_sessions`.

        For whoever meets locks that stay: no lease tells who has died while it admitted a job, say. One
        that lives after all begins its transaction again.
        """
        await self._end_sessions({"$expr": {"$lt": ["$alive_until", "$$NOW"]}})

    async def _end_sessions(self, query: Doc) -> None:
        workers = await self._workers.find(query, {"sessions": 1}).to_list()
        sessions = [session for each in workers for session in each.get("sessions", ())]
        if not sessions:
            return
        try:
            await self._db.command("killSessions", [{"id": Binary.from_uuid(each)} for each in sessions])
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            names = ", ".join(each["_id"] for each in workers)
            _log.warning("no privilege to end the sessions of dead workers (%s): locks last a minute", names)
