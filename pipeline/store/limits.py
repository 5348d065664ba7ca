"""Limits as operators have set them, by subject, and how many tasks run under each."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from pipeline.limit import Limit, limit_of
from pipeline.store.changes import OperationTime
from pipeline.store.driver import Doc, reading, translated


class Limits:
    """The collection `limits`. Its changes are what workers hear of."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._db = db
        self._limits = db["limits"]
        self._permits = db["permits"]
        self._tasks = db["tasks"]

    @translated
    async def add(self, subject: str, limit: Limit) -> Limit:
        """Set what is given of a subject's limit, and keep the rest; returns all of it."""
        _, joined = await self.change(subject, lambda before: before.joined(limit))
        return joined

    @translated
    async def change(self, subject: str, decide: Callable[[Limit], Limit]) -> tuple[Limit, Limit]:
        """Change a subject's limit by compare-and-set; returns what it was and is. One of nothing is deleted.

        `decide` is asked again when others were faster. By replacements, which workers hear of with the whole
        document.
        """
        while True:
            found = await self._limits.find_one({"_id": subject}) or {}
            before = limit_of(found)
            wanted = decide(before)
            as_read = {"_id": subject, **{name: found.get(name) for name in ("concurrency", "rates")}}
            if wanted == before:
                return before, wanted
            if not wanted:
                if (await self._limits.delete_one(as_read)).deleted_count:
                    return before, wanted
                continue
            try:
                await self._limits.replace_one(as_read, wanted.stored(), upsert=True)
            except DuplicateKeyError:  # somebody else has set it just now
                continue
            return before, wanted

    @translated
    async def list(self, as_of: OperationTime | None = None) -> dict[str, Limit]:
        """Return all limits, as of an operation time at least, by subject."""
        async with reading(self._db.client, as_of) as session:
            found = await self._limits.find({}, session=session).sort("_id", 1).to_list()
        return {each["_id"]: limit_of(each) for each in found}

    @translated
    async def running(self, session: AsyncClientSession | None = None) -> Counter[str]:
        """Return how many tasks run of each subject of which any do.

        By the index of lease ends: all that runs anywhere is looked at, which is never much.
        """
        fields = {name: f"${name}" for name in ("pipeline", "stage", "tenant", "key")}
        groups: list[dict[str, Any]] = [
            {"$match": {"state": "running", "lease.until": {"$type": "date"}}},
            {"$group": {"_id": fields, "count": {"$sum": 1}}},
        ]
        running: Counter[str] = Counter()
        async for each in await self._tasks.aggregate(groups, session=session):
            of, count = each["_id"], each["count"]
            running[f"stage:{of['pipeline']}/{of['stage']}"] += count
            running[f"tenant:{of['tenant']}"] += count
            running[f"key:{of.get('key')}"] += count
        return running
