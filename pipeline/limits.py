"""The limits that one worker knows of, and which of them are full as far as it knows.

A limit is on a subject: ``stage:documents/llm``, ``tenant:acme``, ``key:openai``, or on each subject that
begins alike: ``tenant:*``, ``key:openai/*``. The claim counts; what is known here only keeps
a worker from asking in vain.
"""

from collections.abc import Callable, Iterable, Mapping

import anyio

from pipeline.model import Task, queue_name, subject_of
from pipeline.stage import Pipeline, Stage

PROBE = 1.0
"""Seconds after which a limit that was full is tried again: another worker may have ended something."""


class Limits:
    """One worker's view of the limits."""

    def __init__(self) -> None:
        self._limits: dict[str, int] = {}
        self._full: dict[str, float] = {}
        self._filled = anyio.Event()

    def replace(self, limits: Mapping[str, int]) -> None:
        """Note all limits."""
        self._limits = dict(limits)
        self._full.clear()

    def set(self, subject: str, concurrency: int | None) -> None:
        """A limit was set, or taken away."""
        self._limits.pop(subject, None)
        if concurrency is not None:
            self._limits[subject] = concurrency
        self._full.clear()

    def __bool__(self) -> bool:
        """True while there is any limit."""
        return bool(self._limits)

    def of(self, subject: str) -> int | None:
        """Return a subject's limit: its own, or the one of the longest beginning; None without any."""
        if subject in self._limits:
            return self._limits[subject]
        fits = [each for each in self._limits if each.endswith("*") and subject.startswith(each[:-1])]
        return self._limits[max(fits, key=len)] if fits else None

    def over(self, queue: str, tenant: str, key: str | None) -> tuple[str, ...]:
        """Return the limited subjects that a task belongs to."""
        subjects = [subject_of(queue), f"tenant:{tenant}", *([f"key:{key}"] if key else [])]
        return tuple(each for each in subjects if self.of(each) is not None)

    def of_task(self, stage: Stage, task: Task, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the limited subjects that a task of this stage, in the job of `task`, belongs to."""
        key = stage.key_of(task.tenant, task.params.get(stage.name) or {})
        return self.over(queue_name(pipeline.name, pipeline.version, stage.name), task.tenant, key)

    @property
    def on_keys(self) -> bool:
        """True while any key is limited."""
        return any(each.startswith("key:") for each in self._limits)

    def fill(self, subjects: Iterable[str]) -> None:
        """These are full: don't ask again before something of them ends, or a second has passed."""
        until = anyio.current_time() + PROBE
        self._full.update(dict.fromkeys(subjects, until))
        self._filled.set()

    def free(self, subjects: Iterable[str]) -> bool:
        """Something of these has ended here; True when one of them was full."""
        freed = [each for each in subjects if self._full.pop(each, None) is not None]
        return bool(freed)

    @property
    def full(self) -> Mapping[str, float]:
        """The subjects that are full, each with the time at which it is tried again."""
        return self._full

    async def run(self, wake: Callable[[], None]) -> None:
        """Look again, a second after a subject was full, for what it has held back; until cancelled."""
        while True:
            while not self._full:
                self._filled = anyio.Event()
                await self._filled.wait()
            await anyio.sleep(PROBE)
            now = anyio.current_time()
            self._full = {subject: until for subject, until in self._full.items() if until > now}
            wake()
