"""What one worker may begin: the queues that are open, and what is held back of them.

A gate is closed as long as its subject is paused: ``stage:documents/ocr``, ``pipeline:documents``,
``tenant:acme`` or ``worker:name``; while a limit on a stage, a tenant or a key is full; or while a stage is
parked, as a service that it uses is away. Closed stages are not looked at; what a closed tenant or key has
in an open queue is put into a pond.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

import anyio

from pipeline.breaker import Breaker
from pipeline.limit import Limit, Mark
from pipeline.limits import Limits
from pipeline.model import SERVICE, pipeline_of, pond_name, subject_of
from pipeline.services import Services
from pipeline.store.changes import OperationTime
from pipeline.store.controls import Controls, breaker_of
from pipeline.store.limits import Limits as StoredLimits
from pipeline.store.ponds import Ponds

MOST_PONDS = 64
"""Looked at with one claim; the server would sort in memory for many more."""


class Gates:
    """One worker's view of the controls: as it was read, and heard of since."""

    def __init__(
        self,
        worker: str,
        queues: Sequence[str],
        units: Mapping[str, Collection[str]] | None = None,
        apart: Mapping[str, Sequence[re.Pattern[str]]] | None = None,
    ) -> None:
        """Make one; `units` are those that the stages of these queues cost, `apart` see `Services`."""
        self._own = f"worker:{worker}"
        self._queues = list(queues)
        self._paused: set[str] = set()
        self._closed: set[str] = set()
        """What is paused, the stages that are parked, and the services that park only their own tasks."""
        self._out: set[str] = set()
        self._ponds: dict[str, None] = {}
        """In which something may be, those first that were looked at least lately."""
        self._noted: dict[str, None] = {}
        """Those that were noted since all began to be read."""
        self._tenants = False
        self.limits = Limits(units, opened=self._note)
        self.services = Services(worker, apart=apart)
        self.services.watchers.append(self._settle)
        self._changed = anyio.Event()
        self.heard = 0
        """Changes that were told one by one; what was read while this grew is out of date."""

    def replace(self, paused: Iterable[str], ponds: Iterable[str]) -> None:
        """Note all that is paused, and the ponds in which something is."""
        self._paused, self._ponds = set(paused), dict.fromkeys(ponds)
        self._tenants = any(each.startswith("tenant:") for each in self._paused)
        self._settle()

    def _settle(self) -> None:
        """Find out what is closed; what a service has held back that is back is looked for."""
        out = self.services.out
        self._note(self._out - out)
        self._out = out
        self._closed = self._paused | self.services.parked | out
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
            heard, self._noted = self.heard, {}
            controlled = await controls.list(as_of)
            found = await limits.list(as_of)
            filled = await ponds.filled(self._queues)
        self.limits.replace(found)
        breakers = {each["_id"].removeprefix(SERVICE): breaker_of(each) for each in controlled}
        now = controlled[0]["now"] if controlled else None
        self.services.replace({name: each for name, each in breakers.items() if each is not None}, now)
        paused = [each["_id"] for each in controlled if not each["_id"].startswith(SERVICE)]
        self.replace(paused, [*filled, *self._noted])

    def limit(self, subject: str, limit: Limit | None) -> None:
        """A limit was set, or taken away: what is known to be in ponds is looked at."""
        self.heard += 1
        self.limits.set(subject, limit)

    def hear(self, mark: Mark, wait: float) -> None:
        """Some worker has told that a limit holds something back for so many seconds."""
        self._note([mark[0]])
        self.limits.hear(mark, wait)

    def hold_back(self, subject: str) -> None:
        """Something was put into a pond of a subject."""
        self._note([subject])

    def emptied(self, ponds: Iterable[str]) -> bool:
        """Nothing is left in these; True when anything was thought to be."""
        before = len(self._ponds)
        for pond in ponds:
            self._ponds.pop(pond, None)
        return len(self._ponds) < before

    def _note(self, subjects: Iterable[str]) -> None:
        """These may have something in ponds, beside any queue. A full stage has none: it isn't looked at."""
        held = [each for each in subjects if not each.startswith("stage:")]
        ponds = dict.fromkeys(pond_name(queue, each) for each in held for queue in self._queues)
        self._ponds |= ponds
        self._noted |= ponds

    def close(self, subject: str) -> None:
        """A subject was paused."""
        self.heard += 1
        self.replace({*self._paused, subject}, self._ponds)

    def open(self, subject: str) -> None:
        """A subject was resumed: what it has held back is looked for."""
        self.heard += 1
        self._note([subject])
        self.replace(self._paused - {subject}, self._ponds)

    def know(self, subject: str, breaker: Breaker | None) -> None:
        """A service's breaker has changed; None: it is closed."""
        self.heard += 1
        self.services.know(subject.removeprefix(SERVICE), breaker)

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
        return self._tenants or self.limits.any_full or bool(self._out)

    def queues(self, *, probing: bool = False) -> list[str]:
        """Return the stages' queues to claim from; `probing`: of the parked ones of which one may begin."""
        if self._free:
            return self._queues
        return [each for each in self._queues if self._lets(each, probing)]

    def ponds(self, *, probing: bool = False) -> list[str]:
        """Return the ponds to claim from with one look, at most `MOST_PONDS`; the others come next.

        What is looked at goes to the end of the line: tell with `emptied` in which nothing was.
        """
        held: Iterable[str] = self._ponds
        if probing:
            held = {**self._ponds, **{pond_name(q, s): None for s in self._out for q in self._queues}}
        chosen = list(islice((each for each in held if self._lets(each, probing)), MOST_PONDS))
        for pond in chosen:
            if pond in self._ponds:
                self._ponds[pond] = self._ponds.pop(pond)
        return chosen

    def closed(
        self, first_queues: Mapping[str, Sequence[str]], *, probing: bool = False
    ) -> Mapping[str, Sequence[str]]:
        """Return the pipelines that can't begin, of these with their first stages' queues, one a version.

        With the queues around which a job begins that skips this stage: none where the pipeline is paused,
        and none while `probing`, which such a job wouldn't.
        """
        if self._free:
            return {}
        closed = {
            name: queues
            for name, queues in first_queues.items()
            if not any(self._lets(each, probing) for each in queues)
        }
        return {
            name: () if probing or f"pipeline:{name}" in self._closed else queues
            for name, queues in closed.items()
        }

    def blocker(
        self, queue: str, tenant: str, key: str | None = None, service: str | None = None
    ) -> str | None:
        """Return what holds back the tasks of this queue, tenant, key and service; None when nothing does."""
        subject = f"tenant:{tenant}"
        if subject in self._closed:
            return subject
        called = f"{SERVICE}{service}"
        if called in self._out and pond_name(queue, called) != queue:  # from its pond comes what probes
            return called
        full = self.limits.is_full
        return next((each for each in (subject, f"key:{key}") if full(each, queue)), None)

    def lets(self, queue: str, tenant: str, service: str | None = None) -> bool:
        """Tell whether a task may begin of this queue and tenant that calls this service, limits aside."""
        if not self._closed:
            return True
        closed = not self._closed.isdisjoint(
            (f"tenant:{tenant}", f"{SERVICE}{service}")
        ) or not self._closed.isdisjoint(_stops(queue))
        return not (self.drained or closed)

    @property
    def _free(self) -> bool:
        """True while there is nothing to be heeded."""
        return not (self._closed or self._ponds or self.limits)

    def _lets(self, queue: str, probing: bool) -> bool:
        return self._lets_probe(queue) if probing else self._passes(queue)

    def _passes(self, queue: str) -> bool:
        """Tell whether tasks of a queue, or of a pond, may begin."""
        stops = _stops(queue)
        full = self.limits.is_full
        return self._closed.isdisjoint(stops) and not any(full(each, queue) for each in stops)

    def _lets_probe(self, queue: str) -> bool:
        """Tell whether one attempt of a queue, or of a pond, may find out whether a service is back."""
        stops = _stops(queue)
        full = self.limits.is_full
        open_ = self._paused.isdisjoint(stops) and not any(full(each, queue) for each in stops)
        stage, (_, _, pond) = subject_of(queue), queue.partition("#")
        if pond.startswith(SERVICE):
            return open_ and pond in self.services.half_open and stage not in self.services.parked
        return open_ and stage in self.services.half_open


def _stops(queue: str) -> set[str]:
    """Return the subjects that stop all tasks of a queue, or of a pond."""
    _, _, subject = queue.partition("#")
    return {f"pipeline:{pipeline_of(queue)}", subject_of(queue), subject}
