"""Submitted jobs of which no live worker knows the pipeline: marked when they are found, and timed by that.

The mark is `admit_by`, the time by which some worker must know the pipeline. It is in the database, so that
the time goes on whichever worker looks, and a worker that registers takes it back.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.model import pipeline_of, version_of
from pipeline.store.driver import Doc, translated, until_first
from pipeline.store.on_demand import OnDemand
from pipeline.updates import after

_MARKED: Doc = {"state": "submitted", "admit_by": {"$type": "date"}}


class Strays:
    """Those of the collection `jobs`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._jobs = db["jobs"]
        self._indexes = OnDemand(db)

    @translated
    async def mark(self, known: Mapping[str, set[int]], grace: timedelta) -> int:
        """Mark the jobs of pipelines, or versions of them, that are not `known`; returns how many are new.

        By the index of the backlog: jobs that can be admitted are not looked at.
        """
        unknown: list[Doc] = [{"pipeline": {"$nin": sorted(known)}}]
        unknown += [
            {"pipeline": name, "pipeline_version": {"$nin": [None, *sorted(versions)]}}
            for name, versions in known.items()
        ]
        unmarked = [{"state": "submitted", **each, "admit_by": {"$exists": False}} for each in unknown]
        if await self._jobs.find_one({"$or": unmarked}, {"_id": 1}) is None:
            return 0
        await self._indexes.require("stray")
        result = await self._jobs.update_many({"$or": unmarked}, [{"$set": {"admit_by": after(grace)}}])
        return result.modified_count

    @translated
    async def unmark(self, pipelines: Iterable[tuple[str, int]]) -> None:
        """Take the mark from the jobs of these pipelines and versions: somebody knows them now."""
        if not await self._indexes.has("stray"):
            return
        known = [
            {"pipeline": name, "pipeline_version": {"$in": [None, version]}} for name, version in pipelines
        ]
        await self._jobs.update_many({**_MARKED, "$or": known}, {"$unset": {"admit_by": ""}})

    @translated
    async def overdue(self, limit: int) -> list[Doc]:
        """Return marked jobs whose time is over by the server's clock: pipeline and version of each."""
        if not await self._indexes.has("stray"):
            return []
        query = {**_MARKED, "$expr": {"$lte": ["$admit_by", "$$NOW"]}}
        return await self._jobs.find(query, {"pipeline": 1, "pipeline_version": 1}).limit(limit).to_list()

    @translated
    async def next_end(self) -> timedelta | None:
        """Return in how long the next marked job is overdue; None when there is none. Never negative."""
        if not await self._indexes.has("stray"):
            return None
        return await until_first(self._jobs, _MARKED, "admit_by")


def known_pipelines(workers: Iterable[Mapping[str, Any]]) -> dict[str, set[int]]:
    """Return the versions of every pipeline of which one of these workers claims some stage."""
    known: dict[str, set[int]] = {}
    for queue in (queue for worker in workers for queue in worker.get("queues", ())):
        known.setdefault(pipeline_of(queue), set()).add(version_of(queue))
    return known
