"""What requests to services outside took and cost: a record for each.

It is there before the request is made, with what that is likely to take and, as `asked`, the claim under
which it is made. Such a record has no time, and does not count. It is settled by what the request took. One
that its attempt could not settle counts as it is, `unsettled`, once that attempt has lost its task.

A job's records outlive it, for its tenant's accounts; they hold nothing of its document. Collection and
indexes are made when a first request is recorded: nobody pays for them who asks no such service.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import Any

from bson import Decimal128, ObjectId
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.model import Task
from pipeline.store.driver import Doc, translated
from pipeline.usage import Grouping, Spent, UsageGroup, UsageTotals, UsageView

INDEXES = [
    # With all that a day's budget adds up, so that no record is fetched for it.
    IndexModel(
        [(name, ASCENDING) for name in ("tenant", "at", "cost", "input_tokens", "output_tokens")],
        name="tenant",
    ),
    IndexModel(
        [(name, ASCENDING) for name in ("at", "cost", "input_tokens", "output_tokens")], name="deployment"
    ),
    IndexModel([("job", ASCENDING)], name="job"),
    IndexModel(
        [(name, ASCENDING) for name in ("tenant", "job", "asked")],
        name="asked",
        partialFilterExpression={"asked": {"$type": "string"}},
    ),
]
_ASKED: Doc = {"asked": {"$type": "string"}}
_COUNTED: Doc = {"asked": {"$exists": False}}
_GIVE_UP: list[Mapping[str, Any]] = [{"$set": {"at": "$$NOW", "unsettled": True}}, {"$unset": "asked"}]

_DAY: Doc = {"$dateToString": {"date": "$at", "format": "%Y-%m-%d"}}
_SUMS: Doc = {
    "requests": {"$sum": 1},
    "input_tokens": {"$sum": "$input_tokens"},
    "output_tokens": {"$sum": "$output_tokens"},
    "cost": {"$sum": "$cost"},
    "unpriced": {"$sum": {"$cond": [{"$eq": ["$cost", None]}, 1, 0]}},
}
"""What a budget may bound, and all that the indexes have."""
_ALL: Doc = {
    **_SUMS,
    "pages": {"$sum": "$pages"},
    "unsettled": {"$sum": {"$cond": ["$unsettled", 1, 0]}},
}


_SETTLED = timedelta(minutes=1)
"""Age from which a record is taken to be there for all to read, if it is: a write ends well within it."""
_ANEW = 600.0
"""Seconds after which a day is added up from its midnight again: an outage may have kept a record back."""


@dataclass(frozen=True, slots=True)
class _Tally:
    """What was used from a midnight to a time, so that it need not be added up for every request."""

    midnight: datetime
    until: datetime
    used: UsageTotals
    made_at: float
    """A monotonic time."""


class Usage:
    """The collection `usage`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._db = db
        self._usage = db["usage"]
        self._tasks = db["tasks"]
        self._ready = False
        self._tallies: dict[str | None, _Tally] = {}

    @translated
    async def ask(self, record: Mapping[str, Any]) -> None:
        """Keep the record of a request that is about to be made, see `asked_record`; twice is as once.

        One write, with majority.
        """
        await self._prepare()
        await self._usage.update_one({"_id": record["_id"]}, {"$setOnInsert": record}, upsert=True)

    @translated
    async def keep(self, record: Mapping[str, Any]) -> None:
        """Keep the record of what a request took, in the place of what was likely; twice is as once.

        With the server's time, or the one at which it was given up. One write, with majority. It asks for no
        lease: what was paid is paid, whoever holds the task by now.
        """
        await self._prepare()
        new = {"$mergeObjects": [{"$literal": record}, {"at": {"$ifNull": ["$at", "$$NOW"]}}]}
        await self._usage.update_one({"_id": record["_id"]}, [{"$replaceWith": new}], upsert=True)

    @translated
    async def drop(self, record: Any) -> None:
        """Remove the record, by its id, of a request that was asked and took nothing."""
        await self._usage.delete_one({"_id": record, **_ASKED})

    @translated
    async def give_up(self, record: Any) -> None:
        """Let a request count that was asked, by its record's id, as nobody knows how it ended."""
        await self._usage.update_one({"_id": record, **_ASKED}, _GIVE_UP)

    @translated
    async def give_up_of(self, jobs: Collection[str]) -> None:
        """Let requests of these jobs count that were asked by attempts which have lost their tasks."""
        await self._give_up({"job": {"$in": list(jobs)}})

    async def _give_up(self, which: Mapping[str, Any]) -> None:
        """The same, of what a query for tenant, job or nothing finds. By the index of what is asked."""
        if not await self._is_ready():
            return
        query = {"tenant": {"$gte": ""}, **which, **_ASKED}
        asked = await self._usage.find(query, {"task": 1, "asked": 1}).to_list()
        if not asked:
            return
        # Read after them: a claim is older than what was asked under it, and none comes back.
        running = {"_id": {"$in": list({each["task"] for each in asked})}, "state": "running"}
        claims = self._tasks.find(running, {"lease.claim_id": 1})
        held = {(each["_id"], each["lease"]["claim_id"]) async for each in claims}
        lost = [each["_id"] for each in asked if (each["task"], each["asked"]) not in held]
        if lost:
            await self._usage.update_many({"_id": {"$in": lost}, **_ASKED}, _GIVE_UP)

    async def _prepare(self) -> None:
        if not self._ready:
            await self._usage.create_indexes(INDEXES)
            self._ready = True

    async def _is_ready(self) -> bool:
        """Tell whether anything can have been asked: whoever asks makes the index first."""
        self._ready = self._ready or "asked" in await self._usage.index_information()
        return self._ready

    @translated
    async def of_job(self, tenant: str, job: str) -> UsageTotals:
        """Return what a job has used in all, without what is under way."""
        which = {"job": job, "tenant": tenant}
        await self._give_up(which)
        return await self._sum(which)

    @translated
    async def today(self, tenant: str | None) -> UsageTotals:
        """Return what a tenant, or without one all together, have used since midnight in UTC.

        By the server's clock, whoever has recorded it; read are only the index keys of records that are new
        to this process, or younger than a minute. What is under way is not in it, nor for up to ten minutes
        what somebody left behind whose death nobody has told this of.
        """
        # Asked for before: compared with $$NOW, each record would have to be fetched.
        now = await self._now()
        tally = self._tally(tenant, datetime.combine(now.date(), time.min, UTC))
        if tally.until == tally.midnight:
            await self._give_up({} if tenant is None else {"tenant": tenant})
        until = max(tally.until, now - _SETTLED)
        query = chosen(tenant, None, tally.until, None)
        found = await self._usage.aggregate(
            [{"$match": query}, {"$group": {"_id": {"$lt": ["$at", until]}, **_SUMS}}]
        )
        sums = {each.pop("_id"): UsageTotals(**_exact(each)) async for each in found}
        settled = tally.used + sums.get(True, UsageTotals())
        self._tallies[tenant] = replace(tally, until=until, used=settled)
        return settled + sums.get(False, UsageTotals())

    def _tally(self, tenant: str | None, midnight: datetime) -> _Tally:
        """Return what is known of a day; it is not changed, so calls at the same time are no trouble."""
        known = self._tallies.get(tenant)
        if known and known.midnight == midnight and monotonic() - known.made_at < _ANEW:
            return known
        return _Tally(midnight, midnight, UsageTotals(), monotonic())

    @translated
    async def rest_of_day(self) -> timedelta:
        """Return the time until the next midnight in UTC, by the server's clock."""
        now = await self._now()
        return datetime.combine(now.date() + timedelta(days=1), time.min, UTC) - now

    async def _now(self) -> datetime:
        hello = await self._db.command("hello", codec_options=self._db.codec_options)
        now: datetime = hello["localTime"]
        return now

    @translated
    async def view(self, query: Mapping[str, Any], by: Grouping | None, limit: int) -> UsageView:
        """Return the sum over what a query finds (see `chosen`), and the sums by what is asked for.

        At most `limit` groups: of days the newest, else the costliest. What is under way is not in it.
        """
        await self._give_up({name: query[name] for name in ("tenant", "job") if name in query})
        total = await self._sum(query)
        return UsageView(total=total, groups=[] if by is None else await self._groups(query, by, limit))

    async def _groups(self, query: Mapping[str, Any], by: Grouping, limit: int) -> list[UsageGroup]:
        order = {"_id": -1} if by == "day" else {"cost": -1, "output_tokens": -1, "_id": 1}
        stages: list[Mapping[str, Any]] = [
            {"$match": {**query, **_COUNTED}},
            {"$group": {"_id": _DAY if by == "day" else f"${by}", **_ALL}},
            {"$sort": order},
            {"$limit": limit},
        ]
        found = await self._usage.aggregate(stages)
        return [UsageGroup(key=each.pop("_id"), **_exact(each)) async for each in found]

    async def _sum(self, query: Mapping[str, Any]) -> UsageTotals:
        stages: list[Mapping[str, Any]] = [
            {"$match": {**query, **_COUNTED}},
            {"$group": {"_id": None, **_ALL}},
        ]
        async for each in await self._usage.aggregate(stages):
            del each["_id"]
            return UsageTotals(**_exact(each))
        return UsageTotals()


def asked_record(task: Task, likely: Spent) -> Doc:
    """Return the record of a request that this task is about to make, and is likely to take so much."""
    return {**usage_record(task, likely), "asked": task.lease.claim_id}


def usage_record(task: Task, spent: Spent, id: Any = None) -> Doc:  # noqa: A002
    """Return the record of one request; make it once, and keep that again while it isn't known to be kept.

    `id` is that of its `asked_record`, where there is one.
    """
    return {
        "_id": ObjectId() if id is None else id,
        "tenant": task.tenant,
        "job": task.job,
        "task": task.id,
        "pipeline": task.pipeline,
        "stage": task.stage,
        "attempt": task.attempt,
        "model": spent.model,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "pages": spent.pages,
        "cost": None if spent.cost is None else Decimal128(spent.cost),
    }


def chosen(tenant: str | None, job: str | None, since: datetime | None, until: datetime | None) -> Doc:
    """Return the query for a tenant's, a job's, or all records from `since` on and before `until`."""
    times = {name: value for name, value in (("$gte", since), ("$lt", until)) if value is not None}
    query = {"tenant": tenant, "job": job, "at": times}
    return {name: value for name, value in query.items() if value}


def _exact(sums: Doc) -> Doc:
    """Return sums with a decimal cost; where no cost is known the server's is a plain 0."""
    cost = sums["cost"]
    return {**sums, "cost": cost.to_decimal() if isinstance(cost, Decimal128) else cost}
