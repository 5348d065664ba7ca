"""The collection `schedules`: kept, found when they are due."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from pipeline.errors import NotFound, SubmissionError
from pipeline.store.driver import UNSTORABLE, Doc, translated, until_first

_NOT_VALID = 121
"""Server code of what a validator refuses."""

_PLANNED: Doc = {"paused": False, "next_at": {"$type": "date"}}


class Schedules:
    """Schedules of all tenants; few, and small."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._schedules = db["schedules"]

    @translated
    async def put(self, schedule: Doc) -> Doc | None:
        """Insert a schedule, or replace the one of its id; returns what was there before.

        Raises:
            SubmissionError: the database's validator refused it.
        """
        try:
            return await self._schedules.find_one_and_replace({"_id": schedule["_id"]}, schedule, upsert=True)
        except UNSTORABLE as error:
            raise SubmissionError(f"MongoDB cannot store this schedule: {error}") from error
        except OperationFailure as error:
            if error.code != _NOT_VALID:
                raise
            raise SubmissionError(f"the schedule is not valid: {error}") from error

    @translated
    async def get(self, schedule: str) -> Doc:
        """Return one schedule, without inline bytes.

        Raises:
            NotFound: there is none.
        """
        found = await self._schedules.find_one({"_id": schedule}, {"job.document.inline": 0})
        if found is None:
            raise NotFound(f"there is no schedule {schedule.partition('.')[2]!r}")
        return found

    @translated
    async def of_tenant(self, tenant: str) -> list[Doc]:
        """Return a tenant's schedules by name, without inline bytes."""
        found = self._schedules.find({"tenant": tenant}, {"job.document.inline": 0})
        return await found.sort("_id", 1).to_list()

    @translated
    async def pause(self, schedule: str) -> None:
        """Pause a schedule.

        Raises:
            NotFound: there is none.
        """
        result = await self._schedules.update_one({"_id": schedule}, {"$set": {"paused": True}})
        if not result.matched_count:
            raise NotFound(f"there is no schedule {schedule.partition('.')[2]!r}")

    @translated
    async def resume(self, schedule: str, next_at: datetime | None) -> None:
        """Let a paused schedule go on with its tick at `next_at`; one that is not paused goes on as it is.

        Replaced, as workers hear of that; of updates, as every tick is one, they don't.
        """
        paused = await self._schedules.find_one({"_id": schedule, "paused": True})
        while paused is not None:
            resumed = {**paused, "paused": False, "error": None, "next_at": next_at}
            same = {name: paused.get(name) for name in ("_id", "paused", "running", "last")}
            if (await self._schedules.replace_one(same, resumed)).matched_count:
                return
            paused = await self._schedules.find_one({"_id": schedule, "paused": True})

    @translated
    async def delete(self, schedule: str) -> Doc:
        """Remove a schedule and return it; what it has submitted stays.

        Raises:
            NotFound: there is none.
        """
        found = await self._schedules.find_one_and_delete({"_id": schedule})
        if found is None:
            raise NotFound(f"there is no schedule {schedule.partition('.')[2]!r}")
        return found

    @translated
    async def due(self) -> tuple[list[Doc], datetime]:
        """Return the schedules that are due, or of which that isn't known, and the server's time."""
        now: Any = {"$set": {"now": "$$NOW"}}
        is_due = {"$expr": {"$lte": ["$next_at", "$$NOW"]}}  # null is less than any date
        found = await (
            await self._schedules.aggregate([{"$match": {"paused": False, **is_due}}, now])
        ).to_list()
        return found, max((each["now"] for each in found), default=datetime.now(UTC))

    @translated
    async def abandoned(self) -> list[Doc]:
        """Return the schedules whose task runs without a sign of life, by the server's clock."""
        query = {"running": {"$type": "object"}, "$expr": {"$lte": ["$running.until", "$$NOW"]}}
        return await self._schedules.find(query).to_list()

    @translated
    async def next_due(self) -> timedelta | None:
        """Return in how long the next schedule is due; None when there is none. Never negative."""
        return await until_first(self._schedules, _PLANNED, "next_at")

    @translated
    async def next_abandoned(self) -> timedelta | None:
        """Return in how long a task that runs now has to have given a sign of life; None when none runs."""
        return await until_first(self._schedules, {"running.until": {"$type": "date"}}, "running.until")
