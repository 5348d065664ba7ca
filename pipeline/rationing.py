"""Claims of what is under limits: how much of it may begin, and what becomes of the rest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from pipeline.candidate import Candidate
from pipeline.gates import Gates
from pipeline.hosted import Hosted
from pipeline.model import Task, tenant_of
from pipeline.store.permits import Permits, Wanted
from pipeline.store.ponds import Ponds
from pipeline.store.refills import Refills
from pipeline.store.tasks import Tasks

Under = Mapping[Candidate, tuple[str, ...]]
"""The limited subjects that each belongs to."""


class Rationing:
    """One worker's claims under limits."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        ponds: Ponds,
        permits: Permits,
        refills: Refills,
        gates: Gates,
        hosted: Hosted,
        worker: str,
        lease_for: timedelta,
    ) -> None:
        self._tasks = tasks
        self._ponds = ponds
        self._permits = permits
        self._refills = refills
        self._gates = gates
        self._hosted = hosted
        self._worker = worker
        self._lease_for = lease_for

    def under(self, candidates: Sequence[Candidate]) -> Under:
        """Return the limited subjects that each belongs to.

        A job's key is made when it is admitted: until then any limit on keys may be its own, if its first
        stage has one.
        """
        limits = self._gates.limits
        if not limits:
            return dict.fromkeys(candidates, ())
        keyed = self._hosted.keyed if limits.on_keys else frozenset[str]()
        return {
            each: limits.over(each.queue, tenant_of(each.job), each.document.get("key"))
            + (("key:*",) if not each.ready and each.queue in keyed else ())
            for each in candidates
        }

    def bounded(self, candidates: list[Candidate]) -> list[Candidate]:
        """Leave out the tasks of a subject beyond as many as may run at once: the others get the slots."""
        if not self._gates.limits:
            return candidates
        chosen: Counter[str] = Counter()
        kept: list[Candidate] = []
        for each, subjects in self.under(candidates).items():
            bounds = self._bounds(subjects) if each.ready else {}
            if all(chosen[subject] < most for subject, most in bounds.items()):
                chosen.update(bounds.keys())
                kept.append(each)
        return kept

    def _bounds(self, subjects: Sequence[str]) -> dict[str, int]:
        """Return how many tasks may run at once of each of these subjects that has a limit on that."""
        limits = {subject: self._gates.limits.of(subject) for subject in subjects}
        return {
            subject: limit.concurrency
            for subject, limit in limits.items()
            if limit is not None and limit.concurrency is not None
        }

    async def take(self, under: Under) -> list[Task]:
        """Claim the tasks among these that their limits let, the first ones first; hold the others back.

        Raises:
            StoreUnavailable: the database is away; call again.
        """
        limits = self._gates.limits
        own = {
            subject: limit
            for subjects in under.values()
            for subject in subjects
            if (limit := limits.of(subject)) is not None
        }
        wanted = [
            Wanted(
                each.document["_id"],
                tuple(subject for subject in subjects if subject in own),
                each.document.get("cost") or {},
            )
            for each, subjects in under.items()
            if subjects and each.ready
        ]
        if not wanted:
            return []
        tasks, refused = await self._tasks.take_within(
            self._permits, wanted, own, self._worker, self._lease_for
        )
        # What was refused by a limit that has changed meanwhile is asked for again.
        standing = {
            task: each for task, each in refused.items() if limits.of(each.subject) == own[each.subject]
        }
        limits.fill(standing.values())
        if untold := limits.untold(standing.values()):
            await self._refills.tell(untold, self._worker)
        for subject in {each.subject for each in standing.values()}:
            await self.hold_back(
                [task for task, each in standing.items() if each.subject == subject], subject
            )
        return tasks

    async def hold_back(self, tasks: Sequence[str], subject: str) -> None:
        """Put tasks where no claim meets them; a stage that is full isn't looked at anyway."""
        if not subject.startswith("stage:"):
            await self._ponds.put(tasks, subject)
            self._gates.hold_back(subject)
