"""Where a worker's work comes from: ready tasks to claim, and submitted jobs to admit and begin at once.

A wakeup says which of both there may be; what there is, is read by index when slots are free, best
first, and no more than can be begun. The compare-and-sets of claim and admission are the truth.
"""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any

from pipeline.admitter import Admitter
from pipeline.candidate import Candidate
from pipeline.fairness import Fairness
from pipeline.gates import MOST_PONDS, Gates
from pipeline.hosted import Hosted
from pipeline.model import PRIORITY_RANGE, Hold, Task, tenant_of
from pipeline.outages import Outages
from pipeline.rationing import Rationing, Under
from pipeline.store.backlog import Backlog, priority_of
from pipeline.store.changes import OperationTime
from pipeline.store.tasks import Tasks, one_kind, runs_alone
from pipeline.turns import Turns

MOST_CANDIDATES = 1024
"""Read at once; many workers need more than they take, so as not to take the same ones."""

MOST_AT_ONCE = 256
"""Begun at once: their documents may be inside, and are held in memory."""

LOWEST, HIGHEST = PRIORITY_RANGE


@dataclass(slots=True)
class _Hints:
    """What there may be, since it was last looked at."""

    tasks: bool = True
    jobs: bool = True
    priority: int | None = HIGHEST
    """Of the best that waits; None when nothing does."""
    behind: bool = False
    """There are ponds that this look has left out, and some that it need not look at again."""


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
        rationing: Rationing,
        fairness: Fairness,
        admitter: Admitter,
        turns: Turns,
        gates: Gates,
        outages: Outages,
        hold: Callable[[OperationTime | None], Hold | None],
        timed: Callable[[], Awaitable[None]],
        hosted: Hosted,
        worker: str,
        lease_for: timedelta,
    ) -> None:
        """Make one; `timed` is waited for before jobs with deadlines are admitted: they must be found."""
        self._tasks = tasks
        self._backlog = backlog
        self._rationing = rationing
        self._fairness = fairness
        self._admitter = admitter
        self._turns = turns
        self._gates = gates
        self._outages = outages
        self._hold = hold
        self._timed = timed
        self._hosted = hosted
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
        tenant: str | None = None,
    ) -> None:
        """Note that there may be work, of this priority at most, as of an operation time, of a tenant."""
        if tenant is not None:
            self._fairness.hear(tenant)
        hints = self._hints
        hints.tasks, hints.jobs = hints.tasks or tasks, hints.jobs or jobs
        priority = HIGHEST if priority is None else priority
        hints.priority = priority if hints.priority is None else max(hints.priority, priority)
        if as_of is not None:
            self._as_of = as_of if self._as_of is None else max(self._as_of, as_of)

    def may_go_on(self, task: Task) -> bool:
        """Tell whether the job of this task comes before everything that waits, as far as is known."""
        best = self._hints.priority
        if best is None or task.priority > best:
            return True
        return task.priority == best and not self._fairness.owes(task.tenant)

    async def take(self, free: int) -> Haul:
        """Claim ready tasks, and admit jobs, for at most that many slots. A task that runs alone comes alone.

        Raises:
            StoreUnavailable: the database is away; call again.
        """
        if self._tasks.unanswered:
            return Haul(await self._tasks.take([], free, self._worker, self._lease_for), more=True)
        if self._gates.drained:
            return Haul()
        free = min(free, MOST_AT_ONCE)
        hints, self._hints = self._hints, _Hints(tasks=False, jobs=False, priority=None)
        try:
            if self._outages.half_open and (haul := await self._take(hints, 1, probing=True)).tasks:
                self.hint(tasks=hints.tasks, jobs=hints.jobs)
                haul.more = True
                return haul
            return await self._take(hints, free)
        except BaseException:
            self.hint(tasks=hints.tasks, jobs=hints.jobs)
            raise

    async def _take(self, hints: _Hints, free: int, *, probing: bool = False) -> Haul:
        """Take what may begin; `probing`: instead of it one of what is parked, if nobody else does."""
        limit = max(free, min(MOST_CANDIDATES, 2 * free * self._turns.peers.count))
        if self._turns.peers.alone:
            limit = free
        if self._gates.holds_back:
            limit = MOST_CANDIDATES
        ready, jobs = await self._candidates(hints, limit, probing=probing)
        found = len(ready) + len(jobs)
        if self._gates.holds_back:
            ready, jobs = await self._without_blocked(ready, jobs)
        kind = ready[: len(one_kind([each.document for each in ready]))]
        chosen = self._choose([*kind, *jobs], free)
        if kind and runs_alone(kind[0].document):
            better = [each for each in jobs if each.priority > kind[0].priority]
            chosen = self._choose(better, free) or kind
        services = await self._outages.begin(chosen[0].queue) if probing and chosen else ()
        if probing and not services:
            return Haul()
        self._note_what_is_left(ready, jobs, chosen, limit)
        if not chosen:
            # There may be more behind what was put into ponds, in these, and in others.
            return Haul(more=len(ready) + len(jobs) < found or self._hints.behind)
        tasks = await self._begin(chosen)
        self._outages.assign(services, tasks)
        return Haul(tasks, more=self._hints.tasks or self._hints.jobs)

    async def _begin(self, chosen: Sequence[Candidate]) -> list[Task]:
        """Claim and admit what was chosen, or as much of it as others and limits let."""
        tasks: list[Task] = []
        under = self._rationing.under(chosen)
        claims = [each for each in chosen if each.ready and not under[each]]
        admissions = [each.document for each in chosen if not each.ready and not under[each]]
        if claims:
            tasks += await self._claim(claims)
        if admissions:
            # Which service a job's first stage calls isn't known before its task is.
            hold = None if self._gates.services.out else self._hold(self._as_of)
            tasks += await self._admit(admissions, hold)
        if any(under.values()):
            tasks += await self._take_within(under)
        if len(tasks) < len(chosen):  # lost to others, or not due, or to be claimed now
            self.hint(tasks=True, jobs=bool(admissions))
        return tasks

    async def _claim(self, chosen: Sequence[Candidate]) -> list[Task]:
        ids = [each.document["_id"] for each in chosen]
        from_ponds = any("#" in each.queue for each in chosen)
        return await self._tasks.take(ids, len(ids), self._worker, self._lease_for, from_ponds=from_ponds)

    async def _take_within(self, under: Under) -> list[Task]:
        """Claim what limits let; jobs are admitted for that, and claimed with the next look."""
        jobs = [each.document for each, subjects in under.items() if subjects and not each.ready]
        if jobs:
            await self._admit(jobs, None)
        return await self._rationing.take(under)

    async def _candidates(
        self, hints: _Hints, limit: int, *, probing: bool
    ) -> tuple[list[Candidate], list[Candidate]]:
        ready: list[Mapping[str, Any]] = []
        jobs: list[Mapping[str, Any]] = []
        if hints.tasks:
            ready += await self._ready(limit, probing=probing)
        if hints.jobs:
            whole = self._turns.peers.alone and not self._gates.holds_back
            jobs += await self._backlog.best(
                limit,
                self._as_of,
                whole=whole,
                without=self._admitter.refused,
                closed=self._gates.closed(self._hosted.first_queues, probing=probing),
            )
            if len(jobs) >= limit and not probing:
                others = await self._fairness.submitted(jobs, self._as_of)
                jobs += [each for each in others if self._begins_here(each)]
        return (
            [Candidate(each, each["job"], each["queue"], int(each["priority"]), True) for each in ready],
            [Candidate(each, each["_id"], self._first_of(each), priority_of(each), False) for each in jobs],
        )

    async def _ready(self, limit: int, *, probing: bool) -> list[Mapping[str, Any]]:
        """Return the best ready tasks, and what others of their tenants' would begin; note empty ponds."""
        ponds = self._gates.ponds(probing=probing)
        queues = [*self._gates.queues(probing=probing), *ponds]
        ready: list[Mapping[str, Any]] = [*await self._tasks.ready(queues, limit)]
        if len(ready) >= limit:
            return [*ready, *await self._fairness.ready(ready, queues)]
        emptied = self._gates.emptied(set(ponds).difference(each["queue"] for each in ready))
        if len(ponds) == MOST_PONDS and (emptied or ready):
            self.hint(jobs=False, priority=LOWEST)  # there may be others
            self._hints.behind = emptied
        return ready

    def _first_of(self, job: Mapping[str, Any]) -> str:
        return self._hosted.first_queue(job["pipeline"], job.get("pipeline_version")) or ""

    def _begins_here(self, job: Mapping[str, Any]) -> bool:
        """Tell whether a job's first stage is claimed by this worker, and open."""
        return job["_id"] not in self._admitter.refused and self._first_of(job) in self._gates.queues()

    async def _without_blocked(
        self, ready: list[Candidate], jobs: list[Candidate]
    ) -> tuple[list[Candidate], list[Candidate]]:
        """Return what nothing holds back; the rest is put into ponds, where nobody meets it again."""
        blocked: dict[tuple[str, bool], list[Candidate]] = defaultdict(list)
        for each in (*ready, *jobs):
            key, service = each.document.get("key"), each.document.get("service")
            blocker = self._gates.blocker(each.queue, tenant_of(each.job), key, service)
            if blocker is not None:
                blocked[blocker, each.ready].append(each)
        for (blocker, are_tasks), held in blocked.items():
            if are_tasks:
                await self._rationing.hold_back([each.document["_id"] for each in held], blocker)
                self.hint(jobs=False)
                continue
            self._gates.hold_back(blocker)
            for start in range(0, len(held), MOST_AT_ONCE):
                some = [each.document for each in held[start : start + MOST_AT_ONCE]]
                await self._admit(some, None, blocker)
            self.hint(tasks=False)
        out = {each.document["_id"] for held in blocked.values() for each in held}
        return (
            [each for each in ready if each.document["_id"] not in out],
            [each for each in jobs if each.document["_id"] not in out],
        )

    def _choose(self, candidates: Sequence[Candidate], free: int) -> list[Candidate]:
        """Return the best, those that others are about to begin left out."""
        peers = self._turns.peers
        open_ = [each for each in candidates if not self._others(each)]
        open_.sort(key=lambda each: -each.priority)  # stable: ready ones first, then by age
        open_ = self._rationing.bounded(open_)
        if len(open_) > free:
            open_ = self._fairly(open_)
        if peers.alone:
            return open_[:free]
        # Many look at the same list: each begins with those for which it ranks first, or anywhere.
        best = [each for each in open_ if each.priority == open_[0].priority]
        own = [each for each in best if peers.first(each.job, each.queue)]
        return own[:free] or random.sample(best, min(free, len(best)))

    def _fairly(self, best: Sequence[Candidate]) -> list[Candidate]:
        """Return these, by priority, with those of one priority in the order of the tenants' shares."""
        ordered: list[Candidate] = []
        for _, equal in groupby(best, key=lambda each: each.priority):
            ordered += self._fairness.shares.order(list(equal), lambda each: tenant_of(each.job))
        return ordered

    def _note_what_is_left(
        self,
        ready: Sequence[Candidate],
        jobs: Sequence[Candidate],
        chosen: Sequence[Candidate],
        limit: int,
    ) -> None:
        taken = {each.document["_id"] for each in chosen}
        self._fairness.shares.begin(tenant_of(each.job) for each in chosen)
        self._fairness.note_left(each.job for each in (*ready, *jobs) if each.document["_id"] not in taken)
        for found in (ready, jobs):
            left = [each for each in found if each.document["_id"] not in taken and not self._others(each)]
            if left or len(found) >= limit:
                best = max(each.priority for each in left or found)
                self.hint(tasks=found is ready, jobs=found is jobs, priority=best)

    def _others(self, candidate: Candidate) -> bool:
        """Tell whether this is for others to begin, or for nobody."""
        return self._turns.others(candidate.job) or candidate.job in self._admitter.refused

    async def _admit(
        self, jobs: Sequence[Mapping[str, Any]], hold: Hold | None, blocker: str | None = None
    ) -> list[Task]:
        if any("document" not in job for job in jobs):
            jobs = await self._backlog.read([job["_id"] for job in jobs], self._as_of)
        if self._hosted.timed or any(job.get("deadline") is not None for job in jobs):
            await self._timed()
        return await self._admitter.admit(jobs, hold, blocker)
