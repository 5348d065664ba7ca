"""Deadlines of open jobs: which have passed, and when the next one does, by an index of those alone.

The index is made when there is a first deadline. Whoever admits a job that has one sees to that before it
does; of those that were submitted by a driver of its own, and wait, somebody has to be told.
"""

from datetime import timedelta

from pymongo.asynchronous.database import AsyncDatabase

from pipeline import updates
from pipeline.model import of_jobs
from pipeline.store.driver import Doc, translated, until_first
from pipeline.store.on_demand import OnDemand

_A_DATE: Doc = {"deadline": {"$type": "date"}}
_WITH_DEADLINE: Doc = {"state": {"$in": list(updates.OPEN_JOB)}, **_A_DATE}


class Deadlines:
    """Those of the collection `jobs`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._jobs = db["jobs"]
        self._tasks = db["tasks"]
        self._indexes = OnDemand(db)

    @translated
    async def index(self) -> None:
        """Make the index, unless it is there."""
        await self._indexes.require("deadline")

    @translated
    async def lack_index(self) -> bool:
        """Tell whether a job waits that has a deadline, and there is no index to find it by.

        Without an index all that wait may be looked at, by that of the backlog.
        """
        if await self._indexes.has("deadline"):
            return False
        waiting = {"state": "submitted", **_A_DATE}
        return await self._jobs.find_one(waiting, {"_id": 1}, hint="backlog") is not None

    @translated
    async def overdue(self, limit: int) -> list[tuple[str, str | None]]:
        """Return open jobs whose deadline has passed by the server's clock, each with its open task."""
        if not await self._indexes.has("deadline"):
            return []
        query = {**_WITH_DEADLINE, "$expr": {"$lte": ["$deadline", "$$NOW"]}}
        jobs = [each["_id"] async for each in self._jobs.find(query, {"_id": 1}).limit(limit)]
        if not jobs:
            return []
        at_work = {**of_jobs(jobs), "state": {"$in": list(updates.OPEN_TASK)}}
        tasks = {each["job"]: each["_id"] async for each in self._tasks.find(at_work, {"job": 1})}
        return [(job, tasks.get(job)) for job in jobs]

    @translated
    async def next(self) -> timedelta | None:
        """Return in how long the next open job is overdue; None when none has a deadline. Never negative."""
        if not await self._indexes.has("deadline"):
            return None
        return await until_first(self._jobs, _WITH_DEADLINE, "deadline")
