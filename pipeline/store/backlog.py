"""The backlog: submitted jobs, waiting to be admitted. A queue like the ready tasks, read by its index.

Nobody holds it in memory: a worker with free slots reads as many jobs as it can begin.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.model import stage_queue, version_of
from pipeline.store.changes import OperationTime
from pipeline.store.driver import Doc, reading, translated
from pipeline.store.on_demand import OnDemand

_ORDER = [("priority", pymongo.DESCENDING), ("created_at", pymongo.ASCENDING)]
_KEY = ("priority", "created_at", "pipeline", "pipeline_version")
_TIMES = ("run_at", "deadline")
_WHOLE = (*_KEY, *_TIMES, "tenant", "document", "params", "traceparent", "batch", "skip")
_DUE = {"due": {"$lte": [{"$ifNull": ["$run_at", "$$NOW"]}, "$$NOW"]}}
_WITHOUT_PRIORITY = {"priority": None}
_NONE: Mapping[str, Collection[str]] = {}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Backlog:
    """The submitted jobs of some pipelines, each in some versions; and those that name no version."""

    def __init__(
        self,
        db: AsyncDatabase[Doc],
        pipelines: Mapping[str, Collection[int]],
        lacks_index: Callable[[], None] = lambda: None,
    ) -> None:
        """Make one; `lacks_index` hears that somebody should `index_skipping`, and look again then."""
        self._client = db.client
        self._jobs = db["jobs"]
        self._indexes = OnDemand(db)
        self._lacks_index = lacks_index
        self._versions = pipelines
        self._wanted: list[Doc] = [
            {"state": "submitted", "pipeline": name, "pipeline_version": {"$in": [None, *versions]}}
            for name, versions in pipelines.items()
        ]

    @translated
    async def best(
        self,
        limit: int,
        as_of: OperationTime | None,
        *,
        whole: bool,
        without: Collection[str] = (),
        closed: Mapping[str, Collection[str]] = _NONE,
    ) -> list[Doc]:
        """Return the jobs to be admitted next, at most `limit`: by priority, then by age.

        By index alone. What was submitted until the operation time `as_of` is among them, `without` are
        jobs to leave out. So are those of `closed` pipelines, but for those that skip the first stage, whose
        queues are given, one a version, once there is an index of them. `due` says, by the server's clock,
        whether a job may begin.
        Unless they are asked for `whole`, they have no more than what orders them.
        """
        wanted = [each for each in self._wanted if each["pipeline"] not in closed]
        around = self._around(closed)
        if around and not await self._indexes.has("skipping"):
            self._lacks_index()  # made here, it would hold all work up for as long as that takes
            around = []
        if not (wanted or around):
            return []
        fields: Doc = dict.fromkeys(_WHOLE if whole else _KEY, 1)
        async with reading(self._client, as_of) as session:
            narrower: Doc = {"_id": {"$nin": list(without)}} if without else {}
            found = await self._find(around, narrower, fields | _DUE, _ORDER, limit, session)
            full = await self._find(wanted, narrower, fields | _DUE, _ORDER, limit, session)
            found += full
            if len(full) == limit:
                # No priority means 0, but sorts below all others: some may not be in a full answer.
                # By age alone: with the priority in the order as well, the server would sort all of them.
                narrower |= _WITHOUT_PRIORITY
                found += await self._find(wanted, narrower, fields | _DUE, _ORDER[1:], limit, session)
        jobs = {job["_id"]: job for job in found}
        return sorted(jobs.values(), key=_precedence)[:limit]

    @translated
    async def index_skipping(self) -> None:
        """Make the index of jobs that skip stages, unless it is there."""
        await self._indexes.require("skipping")

    def _around(self, closed: Mapping[str, Collection[str]]) -> list[Doc]:
        """Return the queries of jobs that skip the first stage, of these pipelines with its queues."""
        newest = {name: max(versions) for name, versions in self._versions.items()}
        return [
            {
                "state": "submitted",
                "pipeline": name,
                "pipeline_version": {"$in": [None, version] if version == newest[name] else [version]},
                "skip": stage_queue(queue).rsplit("/", 1)[1],
            }
            for name, queues in closed.items()
            for queue in queues
            for version in [version_of(queue)]
        ]

    async def _find(
        self,
        wanted: Sequence[Doc],
        narrower: Doc,
        fields: Doc,
        order: list[tuple[str, int]],
        limit: int,
        session: AsyncClientSession,
    ) -> list[Doc]:
        branches = [{**each, **narrower} for each in wanted]
        if not branches:
            return []
        query = branches[0] if len(branches) == 1 else {"$or": branches}
        return await self._jobs.find(query, fields, session=session).sort(order).limit(limit).to_list()

    @translated
    async def read(self, jobs: Sequence[str], as_of: OperationTime | None) -> list[Doc]:
        """Return these jobs, whole, those that are still submitted."""
        fields: Doc = dict.fromkeys(_WHOLE, 1)
        query = {"_id": {"$in": list(jobs)}, "state": "submitted"}
        async with reading(self._client, as_of) as session:
            found = await self._jobs.find(query, fields | _DUE, session=session).to_list()
        return sorted(found, key=_precedence)

    @translated
    async def size(self, as_of: OperationTime) -> int:
        """Return how many jobs wait, as of an operation time at least."""
        async with reading(self._client, as_of) as session:
            counts = [await self._jobs.count_documents(each, session=session) for each in self._wanted]
        return sum(counts)


def priority_of(job: Mapping[str, Any]) -> int:
    """Return a job's priority, 0 when it was inserted without one."""
    priority = job.get("priority")
    return int(priority) if isinstance(priority, int | float) else 0


def _precedence(job: Mapping[str, Any]) -> tuple[int, datetime]:
    created_at = job.get("created_at")
    return -priority_of(job), created_at if isinstance(created_at, datetime) else _LONG_AGO
