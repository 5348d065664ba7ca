"""Failed jobs that nobody has discarded: counted, listed, tried again and discarded, by one index."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from pipeline import decisions
from pipeline.model import Change, of_jobs
from pipeline.store.commits import Commits
from pipeline.store.driver import Doc, translated
from pipeline.store.on_demand import OnDemand

BATCH = 100
"""Jobs changed in one transaction."""

_OPEN: Doc = {"state": "failed", "discarded_at": None}
_KEYS = {"tenant": "$tenant", "pipeline": "$pipeline", "stage": "$error.stage", "reason": "$error.type"}
_FIELDS = {"tenant": "tenant", "pipeline": "pipeline", "stage": "error.stage", "reason": "error.type"}


class Failures:
    """Verbs over failures; `wanted` has `tenant`, `pipeline`, `stage`, `reason`: those that are to match."""

    def __init__(self, db: AsyncDatabase[Doc], commits: Callable[[], Commits]) -> None:
        self._db = db
        self._jobs = db["jobs"]
        self._tasks = db["tasks"]
        self._indexes = OnDemand(db)
        self._commits = commits

    @translated
    async def counts(
        self, wanted: Mapping[str, Any], since: datetime | None = None, until: datetime | None = None
    ) -> list[Doc]:
        """Return how many failures there are of each tenant, pipeline, stage and reason; most first."""
        await self._indexes.require("failures")
        stages: list[Mapping[str, Any]] = [
            {"$match": _query(wanted, since, until)},
            {
                "$group": {
                    "_id": _KEYS,
                    "count": {"$sum": 1},
                    "first": {"$min": "$finished_at"},
                    "last": {"$max": "$finished_at"},
                }
            },
            {"$replaceWith": {"$mergeObjects": ["$$ROOT", "$_id"]}},
            {"$unset": "_id"},
            {"$sort": {"count": -1, "last": -1}},
        ]
        return await (await self._jobs.aggregate(stages)).to_list()

    @translated
    async def newest(
        self, wanted: Mapping[str, Any], since: datetime | None, until: datetime | None, limit: int
    ) -> list[tuple[Doc, list[Doc]]]:
        """Return failed jobs, newest first, each with its tasks of which attempts failed."""
        jobs = [
            each
            for group in await self.counts(wanted, since, until)
            for each in await self._of_group(group, since, until, limit, newest=True)
        ]
        jobs = sorted(jobs, key=lambda job: job["finished_at"], reverse=True)[:limit]
        tasks: dict[str, list[Doc]] = {job["_id"]: [] for job in jobs}
        async for task in self._tasks.find(of_jobs(tasks), {"job": 1, "stage": 1, "errors": 1}):
            tasks[task["job"]].append(task)
        return [(job, tasks[job["_id"]]) for job in jobs]

    @translated
    async def oldest(
        self, wanted: Mapping[str, Any], since: datetime | None, until: datetime, limit: int
    ) -> list[str]:
        """Return the ids of at most `limit` failures, those of one reason together."""
        found: list[str] = []
        for group in await self.counts(wanted, since, until):
            left = limit - len(found)
            if left > 0:
                found += [each["_id"] for each in await self._of_group(group, since, until, left)]
        return found

    @translated
    async def now(self) -> datetime:
        """Return the server's time."""
        now: datetime = (await self._db.command("hello"))["localTime"]
        return now

    async def try_again(self, jobs: Sequence[str]) -> int:
        """Let failed jobs go on from their failed tasks, as `retry` does; returns how many that were."""
        return await self._commit(jobs, self._again)

    async def discard(self, jobs: Sequence[str]) -> int:
        """Give failed jobs up; returns how many that were. Those that did not fail, or are, are left out."""

        async def changes(some: Sequence[str]) -> list[Change]:
            return [decisions.discard(job) for job in some]

        return await self._commit(jobs, changes)

    async def _commit(self, jobs: Sequence[str], changes: Callable[[Sequence[str]], Any]) -> int:
        """Commit a change for each job, some in one transaction; each is a compare-and-set of its own."""
        done = 0
        commits = self._commits()
        try:
            for start in range(0, len(jobs), BATCH):
                results = await commits.commit(await changes(jobs[start : start + BATCH]))
                done += results.count(None)
        finally:
            await commits.close()
        return done

    @translated
    async def _again(self, jobs: Sequence[str]) -> list[Change]:
        last: dict[str, str | None] = dict.fromkeys(jobs)
        tasks = self._tasks.find(of_jobs(jobs), {"job": 1})
        async for task in tasks.sort([("revision", 1), ("created_at", 1)]):
            last[task["job"]] = task["_id"]  # an earlier revision may have failed before
        return [decisions.try_again(job, task) for job, task in last.items()]

    async def _of_group(
        self,
        group: Mapping[str, Any],
        since: datetime | None,
        until: datetime | None,
        limit: int,
        *,
        newest: bool = False,
    ) -> list[Doc]:
        query = _query({name: group.get(name) for name in _KEYS}, since, until)
        order = -1 if newest else 1
        found = self._jobs.find(query, {"document.inline": 0}).sort("finished_at", order).limit(limit)
        return await found.to_list()


def _query(wanted: Mapping[str, Any], since: datetime | None, until: datetime | None) -> Doc:
    """Match failures; a `stage` of None matches those that failed outside of any."""
    query = {**_OPEN, **{_FIELDS[name]: value for name, value in wanted.items()}}
    times = {name: time for name, time in (("$gte", since), ("$lte", until)) if time is not None}
    return {**query, "finished_at": times} if times else query
