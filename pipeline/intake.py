"""Where a worker's work comes from: ready tasks to claim, and submitted jobs to admit and begin at once.

A wakeup says which of both there may be; what there is, is read by index when slots are free, best
first, and no more than can be begun. The compare-and-sets of claim and admission are the truth.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pipeline.admitter import Admitter
from pipeline.model import PRIORITY_RANGE, Hold, Task
from pipeline.store.backlog import Backlog, priority_of
from pipeline.store.changes import OperationTime
from pipeline.store.tasks import Tasks, one_kind, runs_alone
from pipeline.turns import Turns

MOST_CANDIDATES = 1024
"""Read at once; many workers need more than they take, so as not to take the same ones."""

MOST_AT_ONCE = 256
"""Begun at once: their documents may be inside, and are held in memory."""

HIGHEST = PRIORITY_RANGE[1]


@dataclass(frozen=True, slots=True)
class _Candidate:
    document: Mapping[str, Any]
    job: str
    queue: str
    priority: int
    ready: bool


@dataclass(slots=True)
class _Hints:
    """What there may be, since it was last looked at."""

    tasks: bool = True
    jobs: bool = True
    priority: int | None = HIGHEST
    """Of the best that waits; None when nothing does."""


@dataclass(slots=True)
class Haul:
    """What one look has brought."""

    tasks: list[Task] = field(default_factory=list)
    more: bool = False
    """There may be more."""


class Intake:
    """One worker's work, from the database."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        backlog: Backlog,
        admitter: Admitter,
        turns: Turns,
        hold: Callable[[OperationTime | None], Hold | None],
        queues: Sequence[str],
        first_queue: Callable[[str, float | None], str | None],
        worker: str,
        lease_for: timedelta,
    ) -> None:
        """Make one; `first_queue` tells where a job of a pipeline, and version, would begin."""
        self._tasks = tasks
        self._backlog = backlog
        self._admitter = admitter
        self._turns = turns
        self._hold = hold
        self._queues = list(queues)
        self._first_queue = first_queue
        self._worker = worker
        self._lease_for = lease_for
        self._hints = _Hints()
        self._as_of: OperationTime | None = None

    def hint(
        self,
        *,
        tasks: bool = True,
        jobs: bool = True,
        priority: int | None = None,
        as_of: OperationTime | None = None,
    ) -> None:
        """Note that there may be work, of this priority at most, as of an operation time."""
        hints = self._hints
        hints.tasks, hints.jobs = hints.tasks or tasks, hints.jobs or jobs
        priority = HIGHEST if priority is None else priority
        hints.priority = priority if hints.priority is None else max(hints.priority, priority)
        if as_of is not None:
            self._as_of = as_of if self._as_of is None else max(self._as_of, as_of)

    def may_go_on(self, priority: int) -> bool:
        """Tell whether a task of a job under way comes before everything that waits, as far as is known."""
        return self._hints.priority is None or priority >= self._hints.priority

    async def take(self, free: int) -> Haul:
        """Claim ready tasks, and admit jobs, for at most that many slots. A task that runs alone comes alone.

        Raises:
            StoreUnavailable: the database is away; call again.
        """
        if self._tasks.unanswered:
            return Haul(await self._tasks.take([], free, self._worker, self._lease_for), more=True)
        free = min(free, MOST_AT_ONCE)
        hints, self._hints = self._hints, _Hints(tasks=False, jobs=False, priority=None)
        try:
            return await self._take(hints, free)
        except BaseException:
            self.hint(tasks=hints.tasks, jobs=hints.jobs)
            raise

    async def _take(self, hints: _Hints, free: int) -> Haul:
        limit = max(free, min(MOST_CANDIDATES, 2 * free * self._turns.peers.count))
        if self._turns.peers.alone:
            limit = free
        ready, jobs = await self._candidates(hints, limit)
        kind = ready[: len(one_kind([each.document for each in ready]))]
        chosen = self._choose([*kind, *jobs], free)
        if kind and runs_alone(kind[0].document):
            better = [each for each in jobs if each.priority > kind[0].priority]
            chosen = self._choose(better, free) or kind
        self._note_what_is_left(ready, jobs, chosen, limit)
        if not chosen:
            return Haul()
        claims = [each.document["_id"] for each in chosen if each.ready]
        admissions = [each.document for each in chosen if not each.ready]
        haul = Haul()
        if claims:
            haul.tasks += await self._tasks.take(claims, len(claims), self._worker, self._lease_for)
        if admissions:
            haul.tasks += await self._admit(admissions)
        if len(haul.tasks) < len(chosen):  # lost to others, or not due, or to be claimed now
            self.hint(tasks=True, jobs=bool(admissions))
        haul.more = self._hints.tasks or self._hints.jobs
        return haul

    async def _candidates(self, hints: _Hints, limit: int) -> tuple[list[_Candidate], list[_Candidate]]:
        ready: list[Mapping[str, Any]] = []
        jobs: list[Mapping[str, Any]] = []
        if hints.tasks:
            ready += await self._tasks.ready(self._queues, limit)
        if hints.jobs:
            whole, refused = self._turns.peers.alone, self._admitter.refused
            jobs += await self._backlog.best(limit, self._as_of, whole=whole, without=refused)
        return (
            [_Candidate(each, each["job"], each["queue"], int(each["priority"]), True) for each in ready],
            [_Candidate(each, each["_id"], self._first_of(each), priority_of(each), False) for each in jobs],
        )

    def _first_of(self, job: Mapping[str, Any]) -> str:
        return self._first_queue(job["pipeline"], job.get("pipeline_version")) or ""

    def _choose(self, candidates: Sequence[_Candidate], free: int) -> list[_Candidate]:
        """Return the best, those that others are about to begin left out."""
        peers = self._turns.peers
        open_ = [each for each in candidates if not self._others(each)]
        open_.sort(key=lambda each: -each.priority)  # stable: ready ones first, then by age
        if peers.alone:
            return open_[:free]
        # Many look at the same list: each begins with those for which it ranks first, or anywhere.
        best = [each for each in open_ if each.priority == open_[0].priority]
        own = [each for each in best if peers.first(each.job, each.queue)]
        return own[:free] or random.sample(best, min(free, len(best)))

    def _note_what_is_left(
        self,
        ready: Sequence[_Candidate],
        jobs: Sequence[_Candidate],
        chosen: Sequence[_Candidate],
        limit: int,
    ) -> None:
        taken = {each.document["_id"] for each in chosen}
        for found in (ready, jobs):
            left = [each for each in found if each.document["_id"] not in taken and not self._others(each)]
            if left or len(found) >= limit:
                best = max(each.priority for each in left or found)
                self.hint(tasks=found is ready, jobs=found is jobs, priority=best)

    def _others(self, candidate: _Candidate) -> bool:
        """Tell whether this is for others to begin, or for nobody."""
        return self._turns.others(candidate.job) or candidate.job in self._admitter.refused

    async def _admit(self, jobs: Sequence[Mapping[str, Any]]) -> list[Task]:
        if "document" not in jobs[0]:
            jobs = await self._backlog.read([job["_id"] for job in jobs], self._as_of)
        return await self._admitter.admit(jobs, self._hold(self._as_of))
