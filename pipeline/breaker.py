"""The circuit breaker of one outside service: what all workers know of it while it is open.

It is a value, and its changes are pure functions from what it was, None while it is closed, and the
server's time to what it is then.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=5)
"""The pause after the first failure, and the longest; each failed probe doubles it."""
LEAST = timedelta(seconds=1)
"""Also where a service asks for no pause at all: what isn't charged must not spin."""
IN_A_ROW = 3
"""Failures that may each be their document's fault, until together they are the service's."""

HEARD = timedelta(seconds=3)
"""Until a task that met an open breaker is due again: by then every worker has heard of that."""

LONGEST_WHY = 500
"""Characters of the reason."""
_MOST_STAGES = 100


State = Literal["away", "probing", "held"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """Of one service, open: the stages that use it are parked."""

    why: str
    since: datetime
    until: datetime | None
    """When one attempt may find out whether the service is back; None: an operator holds it open."""
    at: datetime
    """When this was written. All times are the server's."""
    stages: tuple[str, ...] = ()
    """The stages that were found to use the service, as `stage:documents/llm`."""
    failures: int = 0
    """How often it was found to be away since it answered last."""
    probe: str | None = None
    """The worker that may let one attempt through, until `probe_until`."""
    probe_until: datetime | None = None

    @property
    def due(self) -> datetime | None:
        """When the next probe may begin; None: only after an operator has let go of it."""
        if self.until is None or self.probe_until is None:
            return self.until
        return max(self.until, self.probe_until)

    def state(self, now: datetime) -> State:
        """Tell how it stands at a time."""
        if self.until is None:
            return "held"
        return "probing" if self.probe_until is not None and now < self.probe_until else "away"


Decide = Callable[[Breaker | None, datetime], Breaker | None]
"""Returns what a breaker is to be; None: closed. The same as before: nothing is written."""


def pause_after(failures: int) -> timedelta:
    """Return how long a service is left alone that was found to be away so often in a row."""
    return min(FIRST * (1 << min(failures - 1, 10)), LONGEST)


def trip(stage: str, why: str, wait: timedelta | None) -> Decide:
    """Open it, or keep it open: a stage has found the service away, which may have asked for a pause.

    Those that failed at the same time are no further failure.
    """

    def decide(before: Breaker | None, now: datetime) -> Breaker:
        if before is None:
            return _failed(Breaker(why, now, now, now, (stage,)), why, wait, now)
        joined = _with(before, stage, now)
        if before.until is None:
            return joined
        if now >= before.until:
            return _failed(joined, why, wait, now)
        if wait is not None and now + wait > before.until + LEAST:
            return replace(joined, until=now + wait, why=why[:LONGEST_WHY], at=now)
        return joined

    return decide


def join(stage: str) -> Decide:
    """Park one more stage, which was about to use the service."""
    return lambda before, now: None if before is None else _with(before, stage, now)


def begin_probe(worker: str, limit: timedelta) -> Decide:
    """Let one attempt of this worker through, if the pause is over and nobody else does; for `limit`."""

    def decide(before: Breaker | None, now: datetime) -> Breaker | None:
        if before is None or before.due is None or now < before.due:
            return before
        return replace(before, probe=worker, probe_until=now + limit, at=now)

    return decide


def give_back(worker: str) -> Decide:
    """End a probe that has found out nothing: another may begin at once."""

    def decide(before: Breaker | None, now: datetime) -> Breaker | None:
        if before is None or before.probe != worker:
            return before
        return replace(before, probe=None, probe_until=None, at=now)

    return decide


def answered(worker: str) -> Decide:
    """Close it: a probe was answered. One that an operator holds open stays so."""

    def decide(before: Breaker | None, now: datetime) -> Breaker | None:
        return None if before is None or before.until is not None else give_back(worker)(before, now)

    return decide


def hold(why: str) -> Decide:
    """Open it for an operator, until it is closed by one; a second hold changes nothing."""

    def decide(before: Breaker | None, now: datetime) -> Breaker:
        if before is None:
            return Breaker(why, now, None, now)
        if before.until is None:
            return before
        return replace(before, why=why, since=now, until=None, at=now)

    return decide


def _failed(before: Breaker, why: str, wait: timedelta | None, now: datetime) -> Breaker:
    failures = before.failures + 1
    pause = max(pause_after(failures) if wait is None else wait, LEAST)
    return replace(
        before,
        why=why[:LONGEST_WHY],
        until=now + pause,
        at=now,
        failures=failures,
        probe=None,
        probe_until=None,
    )


def _with(before: Breaker, stage: str, now: datetime) -> Breaker:
    if stage in before.stages or len(before.stages) >= _MOST_STAGES:
        return before
    return replace(before, stages=tuple(sorted({*before.stages, stage})), at=now)
