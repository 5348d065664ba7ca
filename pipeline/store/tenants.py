"""Which tenants have something to do, and their oldest jobs: for fair shares between them.

By the index of jobs by tenant and state alone, so that it doesn't matter how much any of them has waiting.
"""

from collections.abc import Sequence

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.model import of_jobs
from pipeline.store.driver import Doc, translated
from pipeline.store.tasks import CANDIDATE


class Tenants:
    """The tenants of open jobs."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._jobs = db["jobs"]
        self._tasks = db["tasks"]

    @translated
    async def with_open_jobs(self) -> Sequence[str]:
        """Return all of them, by skipping through the index from one to the next."""
        # The bound on `tenant`, which all have, lets the index answer.
        query = {"tenant": {"$gt": ""}, "state": {"$in": ["submitted", "running"]}}
        tenants: Sequence[str] = await self._jobs.distinct("tenant", query)
        return tenants

    @translated
    async def oldest(self, tenants: Sequence[str], state: str, each: int) -> list[str]:
        """Return the oldest jobs in this state of each of these tenants, `each` of one at most."""
        branches: list[list[Doc]] = [
            [
                {"$match": {"tenant": tenant, "state": state}},
                {"$sort": {"_id": 1}},
                {"$limit": each},
                {"$project": {"_id": 1}},
            ]
            for tenant in tenants
        ]
        first, *others = branches
        unions: list[Doc] = [{"$unionWith": {"coll": "jobs", "pipeline": branch}} for branch in others]
        return [job["_id"] async for job in await self._jobs.aggregate([*first, *unions])]

    @translated
    async def ready(self, jobs: Sequence[str], queues: Sequence[str]) -> list[Doc]:
        """Return the tasks of these jobs that are ready and due, for a claim."""
        due = {
            **of_jobs(jobs),
            "state": "ready",
            "queue": {"$in": list(queues)},
            "$expr": {"$lte": ["$run_at", "$$NOW"]},
        }
        return await self._tasks.find(due, CANDIDATE).hint("_id_").to_list()
