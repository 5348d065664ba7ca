"""Where something waits: whether it is due by the server's clock, and how many others come before it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store.driver import Doc, translated

MOST_COUNTED = 100_000
"""Of the others; who waits behind more is told this number."""

_DUE: Doc = {"$expr": {"$lte": ["$run_at", "$$NOW"]}}


class Waits:
    """Questions about the hot queue and the backlog, answered by their indexes."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._jobs = db["jobs"]
        self._tasks = db["tasks"]

    @translated
    async def now(self, job: str) -> datetime | None:
        """Return the server's time; None when the job is gone."""
        async for found in await self._jobs.aggregate(
            [{"$match": {"_id": job}}, {"$project": {"now": "$$NOW"}}]
        ):
            now: datetime = found["now"]
            return now
        return None

    @translated
    async def before_task(self, task: Mapping[str, Any]) -> int:
        """Return how many tasks are claimed before this one from its queue, up to `MOST_COUNTED`."""
        priority = task["priority"]
        return await _count(
            self._tasks,
            {"state": "ready", "queue": task["queue"]},
            {"priority": {"$gt": priority}, **_DUE},
            {"priority": priority, "run_at": {"$lt": task["run_at"]}},
        )

    @translated
    async def before_job(self, job: Mapping[str, Any], version: int, queue: str) -> int:
        """Return how many jobs and tasks begin before this job, in its `queue`, up to `MOST_COUNTED`."""
        priority = job.get("priority") or 0
        equal = {"$in": [0, None]} if priority == 0 else priority
        waiting = {
            "state": "submitted",
            "pipeline": job["pipeline"],
            "pipeline_version": {"$in": [None, version]},
        }
        jobs = await _count(
            self._jobs,
            waiting,
            {"priority": {"$gt": priority}},
            {"priority": equal, "created_at": {"$lt": job["created_at"]}},
        )
        ready = {"state": "ready", "queue": queue}
        tasks = await _count(self._tasks, ready, {"priority": {"$gte": priority}, **_DUE})
        return min(jobs + tasks, MOST_COUNTED)

    @translated
    async def held(self) -> dict[str, int]:
        """Return how many tasks each worker holds."""
        groups = [
            {"$match": {"state": "running", "lease.until": {"$type": "date"}}},
            {"$group": {"_id": "$lease.worker", "count": {"$sum": 1}}},
        ]
        return {each["_id"]: each["count"] async for each in await self._tasks.aggregate(groups)}


async def _count(collection: AsyncCollection[Doc], common: Doc, *alternatives: Doc) -> int:
    """Count what matches, the alternatives one by one: each is one range of an index."""
    count = 0
    for each in alternatives:
        if count < MOST_COUNTED:
            query = {**common, **each}
            count += await collection.count_documents(query, limit=MOST_COUNTED - count)
    return count
