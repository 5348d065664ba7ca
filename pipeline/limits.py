"""The limits that one worker knows of, and which of them are full as far as it knows.

A limit is on a subject: ``stage:documents/llm``, ``tenant:acme``, ``key:openai``, or on each subject that
begins alike: ``tenant:*``, ``key:openai/*``. The claim counts; what is known here only keeps
a worker from asking in vain. A rate is full, like a number of tasks, while it has not enough for
the next one; only those tasks are held back that cost something of its unit.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

import anyio

from pipeline.cost import TASKS
from pipeline.limit import Account, Limit, Mark, Rate, Refusal
from pipeline.model import Task, queue_name, stage_queue, subject_of
from pipeline.stage import Pipeline, Stage

PROBE = 1.0
"""Seconds after which a limit that was full is tried again: another worker may have ended something."""

SOONEST = 0.02
"""Seconds after which a rate is tried again, at least: one that flows faster fills by several tasks."""

TOLD = 5.0
"""Seconds after which others look at a limit under which too many ran."""

SOONEST_TOLD = 1.0
"""Seconds after which others look at a rate that was short, at least: it bounds what is told."""

GRACE = 2.0
"""Seconds that they leave whoever was refused to begin it, and to tell if it is refused again."""


class Limits:
    """One worker's view of the limits."""

    def __init__(
        self,
        units: Mapping[str, Collection[str]] | None = None,
        opened: Callable[[Iterable[str]], object] = list,
    ) -> None:
        """Make one; `units` are those that the stages cost which are claimed here, by queue.

        `opened` is called with subjects that may have room again, before anybody looks.
        """
        self._units = units or {}
        self._opened = opened
        self._limits: dict[str, Limit] = {}
        self._full: dict[Mark, float] = {}
        self._told: dict[Mark, float] = {}
        """Until when these hold something back, of any worker, as far as it was told."""
        self._filled = anyio.Event()

    def replace(self, limits: Mapping[str, Limit]) -> None:
        """Note all limits."""
        self._limits = dict(limits)
        self._full.clear()

    def set(self, subject: str, limit: Limit | None) -> None:
        """A limit was set, or taken away."""
        self._limits.pop(subject, None)
        if limit is not None:
            self._limits[subject] = limit
        self._full.clear()

    def __bool__(self) -> bool:
        """True while there is any limit."""
        return bool(self._limits)

    def of(self, subject: str) -> Limit | None:
        """Return a subject's limit: its own, or the one of the longest beginning; None without any."""
        if subject in self._limits:
            return self._limits[subject]
        fits = [each for each in self._limits if each.endswith("*") and subject.startswith(each[:-1])]
        return self._limits[max(fits, key=len)] if fits else None

    def rate(self, subject: str, unit: str) -> Rate | None:
        """Return a subject's rate in a unit; None without one."""
        limit = self.of(subject)
        return None if limit is None else limit.rates.get(unit)

    def over(self, queue: str, tenant: str, key: str | None) -> tuple[str, ...]:
        """Return the limited subjects that a task belongs to, but for units that it doesn't cost."""
        subjects = [subject_of(queue), f"tenant:{tenant}", *([f"key:{key}"] if key else [])]
        units = self._costing(queue)
        return tuple(each for each in subjects if _holds(self.of(each), units))

    def of_task(self, stage: Stage, task: Task, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the limited subjects that a task of this stage, in the job of `task`, belongs to."""
        key = stage.key_of(task.tenant, task.params.get(stage.name) or {})
        return self.over(queue_name(pipeline.name, pipeline.version, stage.name), task.tenant, key)

    def rated(self, subjects: Iterable[str], stage: Stage) -> bool:
        """Tell whether a rate of one of these subjects has to be asked for each task of a stage."""
        units = {TASKS, *stage.units}
        return any(limit and not units.isdisjoint(limit.rates) for limit in map(self.of, subjects))

    @property
    def on_keys(self) -> bool:
        """True while any key is limited."""
        return any(each.startswith("key:") for each in self._limits)

    def fill(self, refusals: Iterable[Refusal]) -> None:
        """These are full: don't ask before a rate has enough, something of them ends, or a second is over."""
        now = anyio.current_time()
        for each in refusals:
            until = now + (PROBE if each.wait is None else max(SOONEST, each.wait))
            self._full[each.subject, each.unit] = until
            self._filled.set()

    def untold(self, refusals: Iterable[Refusal]) -> dict[Mark, float]:
        """Return what was full of these, and others don't know it, with the seconds after which to look.

        While they know of one nothing is told, also when it has room earlier: they look a little later.
        """
        now = anyio.current_time()
        waits = {
            (each.subject, each.unit): TOLD if each.wait is None else max(SOONEST_TOLD, each.wait)
            for each in refusals
        }
        untold = {mark: wait for mark, wait in waits.items() if self._told.get(mark, now) <= now}
        self._told |= {mark: now + wait for mark, wait in untold.items()}
        return untold

    def hear(self, mark: Mark, wait: float) -> None:
        """Some worker has told that something was full, and holds something back, for so many seconds."""
        self._told[mark] = anyio.current_time() + wait
        self._filled.set()

    def free(self, subjects: Iterable[str]) -> bool:
        """Something of these has ended here; True when too many of one of them ran, for any worker."""
        marks: list[Mark] = [(each, None) for each in subjects]
        told = [mark for mark in marks if mark in self._told]
        self._opened(subject for subject, _ in told)
        return self._open(marks) or bool(told)

    def refill(self, accounts: Iterable[Account]) -> bool:
        """Something was given back to these rates; True when one of them had not enough."""
        return self._open(accounts)

    def _open(self, marks: Iterable[Mark]) -> bool:
        opened = [each for each in marks if self._full.pop(each, None) is not None]
        self._opened(subject for subject, _ in opened)
        return bool(opened)

    @property
    def any_full(self) -> bool:
        """True while anything is held back, as far as this worker was refused it."""
        return bool(self._full)

    @property
    def any_waits(self) -> bool:
        """True while anything is held back, as far as any worker was refused it."""
        return bool(self._full or self._told)

    def is_full(self, subject: str, queue: str) -> bool:
        """Tell whether a subject holds back the tasks of a queue, or of a pond beside it."""
        if not self._full:
            return False
        return any((subject, unit) in self._full for unit in (None, *self._costing(queue)))

    async def run(self, wake: Callable[[], None]) -> None:
        """Look again, when something full may have room, for what it has held back; until cancelled.

        Also for what another worker was refused, if that has not told meanwhile that it was refused again.
        """
        while True:
            self._filled = anyio.Event()
            others = (until + GRACE for until in self._told.values())
            with anyio.move_on_at(min((*self._full.values(), *others), default=float("inf"))):
                await self._filled.wait()
            now = anyio.current_time()
            over = [mark for mark, until in self._full.items() if until <= now]
            unheard = [mark for mark, until in self._told.items() if until + GRACE <= now]
            for mark in unheard:
                del self._told[mark]
            self._opened(subject for subject, _ in unheard)
            if self._open(over) or unheard:
                wake()

    def _costing(self, queue: str) -> Collection[str]:
        return {TASKS, *self._units.get(stage_queue(queue), ())}


def _holds(limit: Limit | None, units: Collection[str]) -> bool:
    """Tell whether a limit is about tasks that cost these units."""
    return limit is not None and (limit.concurrency is not None or any(unit in units for unit in limit.rates))
