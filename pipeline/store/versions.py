"""What is still to be done in each version of each pipeline, by the indexes of claims and rescues."""

from collections import Counter
from collections.abc import Sequence

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.model import pipeline_of, queue_name
from pipeline.store.driver import Doc, translated

Key = tuple[str, int]
"""A pipeline's name and version."""


class Versions:
    """Open tasks and jobs by version."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._jobs = db["jobs"]
        self._tasks = db["tasks"]

    @translated
    async def running(self) -> Counter[Key]:
        """Return how many tasks run; there are no more than workers have slots."""
        stages: list[Doc] = [{"$match": _RUNNING}, {"$group": {"_id": "$queue", "count": {"$sum": 1}}}]
        found: Counter[Key] = Counter()
        async for each in await self._tasks.aggregate(stages):
            found[pipeline_of(each["_id"]), _version_of(each["_id"])] += each["count"]
        return found

    @translated
    async def ready(self, key: Key) -> int:
        """Return how many tasks wait."""
        return await self._tasks.count_documents({"state": "ready", "queue": _queues(key)})

    @translated
    async def submitted(self, key: Key) -> int:
        """Return how many jobs wait that are to begin in this version, and no other."""
        name, version = key
        return await self._jobs.count_documents(
            {"state": "submitted", "pipeline": name, "pipeline_version": version}
        )

    @translated
    async def jobs(self, key: Key, limit: int) -> Sequence[str]:
        """Return jobs that are under way, at most `limit`: those that run come first."""
        queues = _queues(key)
        found: list[str] = []
        for wanted in ({**_RUNNING, "queue": queues}, {"state": "ready", "queue": queues}):
            if len(found) < limit:
                tasks = self._tasks.find(wanted, {"job": 1}).limit(limit - len(found))
                found += [each["job"] async for each in tasks]
        return found


_RUNNING: Doc = {"state": "running", "lease.until": {"$type": "date"}}


def _queues(key: Key) -> Doc:
    """Match the queues of all stages: their names have the same beginning."""
    beginning = queue_name(*key, "")
    return {"$gte": beginning, "$lt": beginning[:-1] + chr(ord(beginning[-1]) + 1)}


def _version_of(queue: str) -> int:
    return int(queue.split("@", 1)[1].split("/", 1)[0])
