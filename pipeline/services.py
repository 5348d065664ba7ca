"""What one process knows of the outside services that its stages use: who is away, and whom to let ask.

While no breaker is open, a call costs two look-ups in memory, and stages that call nothing cost nothing.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.breaker import (
    FIRST,
    IN_A_ROW,
    LEAST,
    Breaker,
    Decide,
    answered,
    give_back,
    join,
    trip,
)
from pipeline.errors import PermanentError, Snooze, Unavailable
from pipeline.model import SERVICE, Away, Failed, Outcome, Snoozed, Succeeded


@dataclass(frozen=True, slots=True)
class _Known:
    breaker: Breaker
    due: float
    """When a probe may begin, by this process's clock."""


@dataclass(slots=True)
class _Probe:
    """What an attempt has found out that was let through."""

    called: bool = False
    decided: bool = False


class Services:
    """One process's view. `tell` changes a breaker for all; without it, as in a trial, only here."""

    def __init__(
        self,
        worker: str = "trial",
        now: Callable[[], float] = time.monotonic,
        apart: Mapping[str, Sequence[re.Pattern[str]]] | None = None,
    ) -> None:
        """Make one; `apart`, by stage, is what services are called like of which each parks its own tasks."""
        self._worker = worker
        self._apart = apart or {}
        self._now = now
        self._known: dict[str, _Known] = {}
        self._suspects: defaultdict[str, set[str]] = defaultdict(set)
        """Stages by service, about which something was told here, and what came of that isn't known yet."""
        self._in_a_row: Counter[str] = Counter()
        self._probes: dict[str, dict[str, _Probe]] = {}
        self._called: set[str] = set()
        self.tell: Callable[[str, Decide], None] = self._decide
        self.watchers: list[Callable[[], None]] = []
        """Called whenever other stages may be parked than before, or for another time."""

    def replace(self, breakers: Mapping[str, Breaker], now: datetime | None) -> None:
        """Note all that are open, as they are at that time of the server; None when none is."""
        self._known = {name: _Known(each, self._due(each, now or each.at)) for name, each in breakers.items()}
        self._changed()

    def know(self, name: str, breaker: Breaker | None, now: datetime | None = None) -> None:
        """Note a breaker as it is, at that time of the server, or else when it was written; None: closed.

        What is older than what is known is passed over.
        """
        known = self._known.get(name)
        if breaker is None:
            self._known.pop(name, None)
            self._in_a_row.pop(name, None)
        elif known is None or breaker.at > known.breaker.at or (now and breaker.at == known.breaker.at):
            self._known[name] = _Known(breaker, self._due(breaker, now or breaker.at))
        if now is not None:  # what was told here has been written
            self._suspects.pop(name, None)
        self._changed()

    @property
    def parked(self) -> set[str]:
        """The stages of which nothing begins, probes aside."""
        if not (self._known or self._suspects):
            return set()
        known = (stage for name in self._known for stage in self._wholly(name))
        return {*known, *(stage for name in self._suspects for stage in self._wholly(name))}

    @property
    def out(self) -> set[str]:
        """The services, as `service:llm/acme`, of which nothing begins while others of its stage do."""
        if not (self._apart and (self._known or self._suspects)):
            return set()
        away = {*self._known, *self._suspects}
        return {SERVICE + name for name in away if any(self._is_apart(each, name) for each in self._apart)}

    @property
    def half_open(self) -> set[str]:
        """What is parked of which one attempt may begin, to find out whether services are back.

        Stages, and services that park only their own tasks.
        """
        if not self._known:
            return set()
        now = self._now()
        out = self.out
        waiting, due = set[str](), set[str]()
        for name, each in self._known.items():
            parked = {*self._wholly(name), *out.intersection([SERVICE + name])}
            (due if each.due <= now else waiting).update(parked)
        for name in self._suspects:
            waiting |= {*self._wholly(name), SERVICE + name}
        return due - waiting

    def parking(self, subject: str) -> list[str]:
        """Return the services for which a stage, or a service's own tasks, are parked, by name."""
        if subject.startswith(SERVICE):
            return [name for name in self._known if SERVICE + name == subject]
        return sorted(name for name in self._known if subject in self._wholly(name))

    def _wholly(self, name: str) -> set[str]:
        """Return the stages of which all tasks are parked for a service."""
        known = self._known.get(name)
        stages = {*(known.breaker.stages if known else ()), *self._suspects.get(name, ())}
        return {each for each in stages if not self._is_apart(each, name)}

    def _is_apart(self, stage: str, name: str) -> bool:
        return any(each.fullmatch(name) for each in self._apart.get(stage, ()))

    @property
    def probing(self) -> bool:
        """True while an attempt runs here that is a probe."""
        return bool(self._probes)

    def next_due(self, after: float) -> float | None:
        """Return when the next probe may begin, by this process's clock, of those later than `after`."""
        return min((each.due for each in self._known.values() if each.due > after), default=None)

    def probe(self, task: str, services: Iterable[str]) -> None:
        """Let a task's attempt through to these services: it is the probe of them."""
        self._probes[task] = {name: _Probe() for name in services}

    def call(self, task: str, stage: str, name: str) -> None:
        """An attempt is about to call a service.

        Raises:
            Unavailable: it is left alone.
            DefinitionError: this can't be a service's name.
        """
        self._called.add(name)
        if name not in self._known and name not in self._suspects:
            Unavailable.check(name)
            return
        probe = self._probes.get(task, {}).get(name)
        if probe is None:
            raise self._refusal(stage, name)
        probe.called = True

    def called(self, task: str, stage: str, name: str, error: Exception | None) -> None:
        """A call has ended so. That a service refuses a document is an answer."""
        if error is None or isinstance(error, PermanentError):
            self._answered(task, name)
        elif isinstance(error, Unavailable) and error.service == name:
            self._away(task, stage, Away(name, str(error), error.retry_after))
            error.told = True
        elif not isinstance(error, Snooze):
            self._failed(task, stage, name, str(error) or type(error).__name__)

    def ended(self, task: str, stage: str, outcome: Outcome) -> None:
        """An attempt has ended: what it tells of services, and what its probes have found out."""
        if isinstance(outcome, Snoozed) and outcome.away is not None:
            self._away(task, stage, outcome.away)
        for name, probe in self._probes.pop(task, {}).items():
            if not probe.decided:
                self._conclude(stage, name, probe, outcome)

    def _conclude(self, stage: str, name: str, probe: _Probe, outcome: Outcome) -> None:
        """Decide by how the attempt has ended, as no call of it told."""
        if isinstance(outcome, Failed) and probe.called:  # its time was over within a call
            self._trip(stage, Away(name, outcome.failure.message, None))
        elif isinstance(outcome, Succeeded | Failed) and name not in self._called:
            self.tell(name, answered(self._worker))  # of a stage that only tells when it is away
        else:
            self.tell(name, give_back(self._worker))

    def _answered(self, task: str, name: str) -> None:
        self._in_a_row.pop(name, None)
        if self._probes and self._decided(task, name):
            self.tell(name, answered(self._worker))

    def _failed(self, task: str, stage: str, name: str, why: str) -> None:
        """It failed in a way that may be the document's fault: open at the third in a row."""
        probing = self._decided(task, name)
        if name in self._known and not probing:
            return  # others that failed at the same time are no further failure
        self._in_a_row[name] += 1
        if probing or self._in_a_row[name] >= IN_A_ROW:
            self._trip(stage, Away(name, why, None))

    def _away(self, task: str, stage: str, away: Away) -> None:
        self._decided(task, away.service)
        self._trip(stage, away)

    def _decided(self, task: str, name: str) -> bool:
        """Note that this attempt has told; False unless it is a probe that has told nothing before."""
        probe = self._probes.get(task, {}).get(name)
        if probe is None or probe.decided:
            return False
        probe.decided = True
        return True

    def _trip(self, stage: str, away: Away) -> None:
        self._suspect(away.service, stage, trip(stage, away.why, away.retry_after))

    def _refusal(self, stage: str, name: str) -> Unavailable:
        known = self._known.get(name)
        left = FIRST
        if known is not None and known.due != float("inf"):
            left = max(timedelta(seconds=known.due - self._now()), LEAST)
        why = known.breaker.why if known is not None else f"{name} was found to be away just now"
        if known is not None and stage not in known.breaker.stages:
            self._suspect(name, stage, join(stage))
        refusal = Unavailable(name, f"waiting as {why}", retry_after=left)
        refusal.told = True
        return refusal

    def _suspect(self, name: str, stage: str, decide: Decide) -> None:
        self._suspects[name].add(stage)
        self._changed()
        self.tell(name, decide)

    def _changed(self) -> None:
        for watcher in self.watchers:
            watcher()

    def _due(self, breaker: Breaker, now: datetime) -> float:
        if breaker.due is None:
            return float("inf")
        return self._now() + (breaker.due - now).total_seconds()

    def _decide(self, name: str, decide: Decide) -> None:
        known, now = self._known.get(name), datetime.now(UTC)
        self.know(name, decide(known.breaker if known else None, now), now)
