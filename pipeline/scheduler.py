"""Fire schedules: each tick once, whatever the number of workers, and a built-in task to its end.

Every worker looks when the next tick is due, and tries; the compare-and-set of the tick lets one of them.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup

from pipeline import ticks
from pipeline.agenda import STUCK, Agenda
from pipeline.crashpoints import crash_point
from pipeline.cron import cron
from pipeline.errors import LeaseLost, MillraceError, PermanentError, StateConflict, SubmissionError
from pipeline.model import Change
from pipeline.store import Store
from pipeline.store.commits import Commits

_log = logging.getLogger("millrace.scheduler")

_SPREAD = 0.1
"""Seconds over which workers look for one tick: who comes later mostly finds it fired."""

Keep = Callable[[], Awaitable[None]]
"""Gives a sign of life, now and then; raises LeaseLost when somebody else has taken over."""

BuiltIn = Callable[[Store, Commits, Keep], Awaitable[Mapping[str, int]]]
"""Does what it does for the whole database, safely again after a crash; returns what it has done, counted."""


class Scheduler:
    """One worker's part in it."""

    def __init__(
        self,
        store: Store,
        agenda: Agenda,
        worker: str,
        tasks: Mapping[str, BuiltIn],
        *,
        commits: Commits,
        of_tasks: Commits,
    ) -> None:
        """Make one; `tasks` are the built-in ones, by name. They have a session of their own, `of_tasks`."""
        self._store = store
        self._commits, self._of_tasks = commits, of_tasks
        self._lock, self._one_task = anyio.Lock(), anyio.Lock()
        self._agenda = agenda
        self._worker = worker
        self._tasks = tasks
        self._group: TaskGroup | None = None

    def arm(self) -> None:
        """Look now."""
        self._agenda.arm(self._look)

    async def run(self) -> None:
        """Run built-in tasks as they are fired, until cancelled."""
        async with anyio.create_task_group() as self._group:
            await anyio.sleep_forever()

    async def _look(self) -> None:
        due, now = await self._store.schedules.due()
        for schedule in due:
            await self._fire(schedule, now)
        for schedule in await self._store.schedules.abandoned():
            await self._store.workers.end_sessions(schedule["running"]["worker"])
            if await self._commit(ticks.take_over(schedule, self._worker)):
                self._begin(schedule, schedule["running"]["tick"])
        waits = [await self._store.schedules.next_due(), await self._store.schedules.next_abandoned()]
        wait = min((each for each in waits if each is not None), default=None)
        if wait is not None:
            jitter = random.uniform(0, _SPREAD)  # noqa: S311 -- jitter, no secret
            self._agenda.arm(self._look, wait.total_seconds() + jitter)

    async def _fire(self, schedule: Mapping[str, Any], now: datetime) -> None:
        try:
            made = cron(schedule["cron"], schedule["time_zone"])
            if "job" not in schedule and schedule["task"] not in self._tasks:
                raise SubmissionError(f"there is no built-in task {schedule['task']!r}")
        except SubmissionError as error:
            await self._disable(schedule, error)
            return
        if schedule.get("next_at") is None:
            await self._commit(ticks.plan(schedule, made.after(now)))
            return
        tick = ticks.due(schedule, made, now)
        if "job" not in schedule and schedule.get("running") is not None:
            await self._commit(ticks.postpone(schedule, tick))
            return
        crash_point("schedule.due")
        try:
            fired = await self._commit(ticks.fire(schedule, tick, self._worker, now))
        except (StateConflict, PermanentError) as error:
            await self._disable(schedule, error)
            return
        if not fired:
            return
        crash_point("schedule.fired")
        if tick.at is None:
            _log.warning("schedule %s: what was due is missed", schedule["_id"])
        elif "job" not in schedule:
            self._begin(schedule, tick.at)

    async def _disable(self, schedule: Mapping[str, Any], why: Exception) -> None:
        _log.error("schedule %s is paused: %s", schedule["_id"], why)
        await self._commit(ticks.disable(schedule, str(why)))

    def _begin(self, schedule: Mapping[str, Any], tick: datetime) -> None:
        if self._group is not None:
            self._group.start_soon(self._run_task, schedule, tick)

    async def _run_task(self, schedule: Mapping[str, Any], tick: datetime) -> None:
        name = schedule["_id"]

        async def keep() -> None:
            if not await self._commit(ticks.keep(name, tick, self._worker)):
                raise LeaseLost

        try:
            async with self._one_task:
                done = await self._tasks[schedule["task"]](self._store, self._of_tasks, keep)
            await self._commit(ticks.finish(name, tick, self._worker, done))
            _log.info("schedule %s has run %s: %s", name, schedule["task"], dict(done))
        except MillraceError as error:  # who looks next goes on with it when its lease has ended
            _log.warning("schedule %s could not end %s: %s", name, schedule["task"], error)
            self._agenda.arm(self._look, STUCK)

    async def _commit(self, change: Change) -> bool:
        """Commit a change of a schedule; False when somebody was faster."""
        async with self._lock:
            [result] = await self._commits.commit([change])
        if result is not None and not isinstance(result, LeaseLost):
            raise result
        return result is None
