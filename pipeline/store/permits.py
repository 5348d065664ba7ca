"""Permits: claims under limits, which hold across all workers.

Nothing is counted beside the tasks: a claim under a limit counts what runs, in its transaction. So a permit
comes back with its task's lease, however that ends. Claims under one limit are made one after the other:
each writes its subject's document first, which nothing else does; ends of tasks don't.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store.commits import Commits
from pipeline.store.driver import Doc, translated
from pipeline.store.limits import Limits

_DUE: Doc = {"$expr": {"$lte": ["$run_at", "$$NOW"]}}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ready task, and the subjects whose limits it is under."""

    task: str
    subjects: tuple[str, ...]


@dataclass(slots=True)
class Grant:
    """What a claim under limits has come to."""

    claimed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Tasks that would have been too many, each with the subject that is full."""


class Permits:
    """The collection `permits`, where claims under one limit meet."""

    def __init__(self, db: AsyncDatabase[Doc], limits: Limits, commits: Commits) -> None:
        self._permits = db["permits"]
        self._tasks = db["tasks"]
        self._limits = limits
        self._commits = commits
        self._met: set[str] = set()

    @translated
    async def grant(self, wanted: Sequence[Wanted], limits: Mapping[str, int], update: Doc) -> Grant:
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
        limits: Mapping[str, int],
        update: Doc,
        session: AsyncClientSession,
    ) -> Grant:
        # First of all: whoever claims under one of these subjects meanwhile has to begin again.
        await self._permits.update_many({"_id": {"$in": subjects}}, {"$inc": {"claims": 1}}, session=session)
        running = await self._limits.running(session)
        grant = Grant()
        for each in wanted:
            full = next((s for s in each.subjects if running[s] >= limits[s]), None)
            if full is not None:
                grant.refused[each.task] = full
                continue
            running.update(each.subjects)
            grant.claimed.append(each.task)
        if grant.claimed:
            due = {"_id": {"$in": grant.claimed}, "state": "ready", **_DUE}
            await self._tasks.update_many(due, [{"$set": update}], session=session)
        return grant
