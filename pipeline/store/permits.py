"""Permits: claims under limits, which hold across all workers.

Nothing is counted beside the tasks: a claim under a limit counts what runs, in its transaction. So a permit
comes back with its task's lease, however that ends. What a claim takes of a rate it does write down, in the
same transaction. Claims under one limit are made one after the other: each writes its subject's document
first; ends of tasks don't, but for what a rate is settled with.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.limit import Account, Limit, Refusal
from pipeline.store.commits import Commits
from pipeline.store.driver import Doc, translated
from pipeline.store.limits import Limits
from pipeline.store.rates import Rates

_DUE: Doc = {"$expr": {"$lte": ["$run_at", "$$NOW"]}}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ready task, the subjects whose limits it is under, and what it costs, by unit."""

    task: str
    subjects: tuple[str, ...]
    cost: Mapping[str, int] = field(default_factory=dict)

    def takes(self, limits: Mapping[str, Limit]) -> dict[Account, int]:
        """Return what its claim takes of the rates that it is under."""
        return {
            (subject, unit): amount
            for subject in self.subjects
            for unit, amount in limits[subject].takes(self.cost).items()
        }


@dataclass(slots=True)
class Grant:
    """What a claim under limits has come to."""

    claimed: list[str] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)
    """Tasks that would have been too many."""


class Permits:
    """The collection `permits`, where claims under one limit meet."""

    def __init__(self, db: AsyncDatabase[Doc], limits: Limits, commits: Commits) -> None:
        self._permits = db["permits"]
        self._tasks = db["tasks"]
        self._limits = limits
        self._rates = Rates(db)
        self._commits = commits
        self._met: set[str] = set()

    @translated
    async def grant(self, wanted: Sequence[Wanted], limits: Mapping[str, Limit], update: Doc) -> Grant:
        """Claim as many of these tasks as their limits let, the first ones first, by an update of each.

        Raises:
            StoreUnavailable: the database is away, or somebody holds a lock; it may have been done.
        """
        subjects = sorted({subject for each in wanted for subject in each.subjects})
        await self._meet(subjects)
        return await self._commits.run(partial(self._grant, wanted, subjects, limits, update))

    async def _meet(self, subjects: Sequence[str]) -> None:
        """Make the documents that claims write; outside of transactions, where two may do so at once."""
        new = [subject for subject in subjects if subject not in self._met]
        if new:
            makes = [UpdateOne({"_id": each}, {"$setOnInsert": {"claims": 0}}, upsert=True) for each in new]
            await self._permits.bulk_write(makes, ordered=False)
            self._met.update(new)

    async def _grant(
        self,
        wanted: Sequence[Wanted],
        subjects: Sequence[str],
        limits: Mapping[str, Limit],
        update: Doc,
        session: AsyncClientSession,
    ) -> Grant:
        # First of all: whoever claims under one of these subjects meanwhile has to begin again.
        await self._permits.update_many({"_id": {"$in": subjects}}, {"$inc": {"claims": 1}}, session=session)
        counted = any(limits[subject].concurrency is not None for subject in subjects)
        room = _Room(limits, await self._limits.running(session) if counted else Counter())
        if any(limits[subject].rates for subject in subjects):
            room.left, now = await self._rates.left({each: limits[each] for each in subjects}, session)
            wanted = await self._ready(wanted, session)  # of what others have claimed nothing is taken
            update = {**update, "started_at": now}
        grant = Grant()
        for each in wanted:
            refusal = room.refusal(each)
            if refusal is not None:
                grant.refused[each.task] = refusal
                continue
            room.take(each)
            grant.claimed.append(each.task)
        if grant.claimed:
            due = {"_id": {"$in": grant.claimed}, "state": "ready", **_DUE}
            await self._tasks.update_many(due, [{"$set": update}], session=session)
            if room.taken:
                await self._rates.put(room.taken, update["started_at"], session)
        return grant

    async def _ready(self, wanted: Sequence[Wanted], session: AsyncClientSession) -> list[Wanted]:
        """Return those of these tasks that a claim in this transaction gets."""
        due = {"_id": {"$in": [each.task for each in wanted]}, "state": "ready", **_DUE}
        ready = {each["_id"] async for each in self._tasks.find(due, {"_id": 1}, session=session)}
        return [each for each in wanted if each.task in ready]


class _Room:
    """What limits have left, as one claim goes through the tasks that it wants."""

    def __init__(self, limits: Mapping[str, Limit], running: Counter[str]) -> None:
        self._limits = limits
        self._running = running
        self._waited_for: dict[Account, Refusal] = {}
        self.left: dict[Account, float] = {}
        self._taken: set[Account] = set()

    @property
    def taken(self) -> dict[Account, float]:
        """What is left in the buckets of which something was taken."""
        return {account: self.left[account] for account in self._taken}

    def refusal(self, wanted: Wanted) -> Refusal | None:
        """Return what holds this task back; where a rate had not enough for one, later ones wait as well."""
        for subject in wanted.subjects:
            most = self._limits[subject].concurrency
            if most is not None and self._running[subject] >= most:
                return Refusal(subject)
        for account, amount in wanted.takes(self._limits).items():
            if account not in self._waited_for:
                subject, unit = account
                wait = self._limits[subject].rates[unit].wait(self.left[account], amount)
                if wait <= 0:
                    continue
                self._waited_for[account] = Refusal(subject, unit, wait)
            return self._waited_for[account]
        return None

    def take(self, wanted: Wanted) -> None:
        """Count a task that is claimed."""
        self._running.update(wanted.subjects)
        for account, amount in wanted.takes(self._limits).items():
            self.left[account] -= amount
            self._taken.add(account)
