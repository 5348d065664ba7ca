"""What one worker may begin: the queues that are open, and what is held back of them.

A gate is closed as long as its subject is paused: ``stage:documents/ocr``, ``pipeline:documents``,
``tenant:acme`` or ``worker:name``; or while a limit on a stage, a tenant or a key is full. Closed stages are
not looked at; what a closed tenant or key has in an open queue is put into a pond.
"""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence

import anyio

from pipeline.limit import Limit
from pipeline.limits import Limits
from pipeline.model import pipeline_of, pond_name, subject_of
from pipeline.store.changes import OperationTime
from pipeline.store.controls import Controls
from pipeline.store.limits import Limits as StoredLimits
from pipeline.store.ponds import Ponds

MOST_PONDS = 64
"""Looked at with one claim; the server would sort in memory for many more."""


class Gates:
    """One worker's view of the controls: as it was read, and heard of since."""

    def __init__(
        self, worker: str, queues: Sequence[str], units: Mapping[str, Collection[str]] | None = None
    ) -> None:
        """Make one; `units` are those that the stages of these queues cost."""
        self._own = f"worker:{worker}"
        self._queues = list(queues)
        self._closed: set[str] = set()
        self._ponds: set[str] = set()
        self._tenants = False
        self._met: set[str] = set()
        self.limits = Limits(units)
        self._changed = anyio.Event()
        self.heard = 0
        """Changes that were told one by one; what was read while this grew is out of date."""

    def replace(self, paused: Iterable[str], ponds: Iterable[str]) -> None:
        """Note all that is paused, and the ponds in which something is."""
        self._closed, self._ponds = set(paused), set(ponds)
        self._tenants = any(each.startswith("tenant:") for each in self._closed)
        self._changed.set()
        self._changed = anyio.Event()

    async def read(
        self, controls: Controls, ponds: Ponds, limits: StoredLimits, as_of: OperationTime | None = None
    ) -> None:
        """Read what is paused and limited, as of an operation time at least, and which ponds there are.

        Raises:
            StoreUnavailable: the database is away; what was known is kept.
        """
        heard = -1
        while heard != self.heard:
            heard = self.heard
            paused = [each["_id"] for each in await controls.list(as_of)]
            found = await limits.list(as_of)
            met = await limits.met() if found else []
            filled = await ponds.filled(self._queues)
        self._met = set(met)
        self.limits.replace(found)
        self.replace(paused, filled)

    def limit(self, subject: str, limit: Limit | None) -> None:
        """A limit was set, or taken away: what it has held back is looked for."""
        self.heard += 1
        self.limits.set(subject, limit)
        self._ponds |= {pond_name(queue, each) for each in self._met for queue in self._queues}

    def meet(self, subject: str) -> None:
        """Something was claimed under a subject for the first time: it may have ponds from now on."""
        self._met.add(subject)

    def close(self, subject: str) -> None:
        """A subject was paused."""
        self.heard += 1
        self.replace({*self._closed, subject}, self._ponds)

    def open(self, subject: str) -> None:
        """A subject was resumed: what it has held back is looked for."""
        self.heard += 1
        ponds = {pond_name(queue, subject) for queue in self._queues}
        self.replace(self._closed - {subject}, self._ponds | ponds)

    async def known(self, subject: str, *, closed: bool) -> None:
        """Return when this worker knows that a subject is paused, or that it is not."""
        while (subject in self._closed) is not closed:
            await self._changed.wait()

    @property
    def drained(self) -> bool:
        """True while this worker begins nothing."""
        return self._own in self._closed

    @property
    def drained_workers(self) -> list[str]:
        """All workers that begin nothing."""
        return [each.removeprefix("worker:") for each in self._closed if each.startswith("worker:")]

    @property
    def holds_back(self) -> bool:
        """True while something in an open queue may not begin."""
        return self._tenants or self.limits.any_full

    def queues(self) -> list[str]:
        """Return the queues to claim from."""
        if self._free:
            return self._queues
        held = {*self._ponds, *(pond_name(q, s) for s in self._subjects() for q in self._queues)}
        ponds = [each for each in held if self._passes(each)]
        if len(ponds) > MOST_PONDS:
            ponds = random.sample(ponds, MOST_PONDS)
        return [each for each in self._queues if self._passes(each)] + ponds

    def closed(self, first_queues: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Return the pipelines that can't begin, of these with their first stages' queues, one a version."""
        if self._free:
            return ()
        return [name for name, queues in first_queues.items() if not any(map(self._passes, queues))]

    def blocker(self, queue: str, tenant: str, key: str | None = None) -> str | None:
        """Return what holds back the tasks of this queue, tenant and key; None when nothing does."""
        subject = f"tenant:{tenant}"
        if subject in self._closed:
            return subject
        full = self.limits.is_full
        return next((each for each in (subject, f"key:{key}") if full(each, queue)), None)

    def lets(self, queue: str, tenant: str) -> bool:
        """Tell whether a task of this tenant may begin that is claimed by this key, limits aside."""
        if not self._closed:
            return True
        closed = f"tenant:{tenant}" in self._closed or not self._closed.isdisjoint(_stops(queue))
        return not (self.drained or closed)

    @property
    def _free(self) -> bool:
        """True while there is nothing to be heeded."""
        return not (self._closed or self._ponds or self.limits)

    def _subjects(self) -> set[str]:
        """Return the limited subjects that may have ponds."""
        return {each for each in self._met if self.limits.of(each) is not None}

    def _passes(self, queue: str) -> bool:
        """Tell whether tasks of a queue, or of a pond, may begin."""
        stops = _stops(queue)
        full = self.limits.is_full
        return self._closed.isdisjoint(stops) and not any(full(each, queue) for each in stops)


def _stops(queue: str) -> set[str]:
    """Return the subjects that stop all tasks of a queue, or of a pond."""
    _, _, subject = queue.partition("#")
    return {f"pipeline:{pipeline_of(queue)}", subject_of(queue), subject}
