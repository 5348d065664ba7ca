"""Give back tasks whose lease ran out, end jobs that are overdue, wake the claimer for tasks that are due.

Nothing is polled: a timer is armed for the next lease end, deadline or due time, by indexed queries.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

import anyio

from pipeline import transitions
from pipeline.agenda import STUCK, Agenda
from pipeline.crashpoints import crash_point
from pipeline.errors import Contended, LeaseLost, StateConflict
from pipeline.model import Change, Failure
from pipeline.store import Store
from pipeline.store.changes import HEARD_WITHIN
from pipeline.store.commits import Commits

_log = logging.getLogger("millrace.rescuer")

BATCH = 64
_MARGIN = 0.2
"""Seconds after a lease's end before it is looked at."""


class Rescuer:
    """One worker's rescues. `run` it in a task group."""

    def __init__(
        self, store: Store, commits: Commits, lease_for: timedelta, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._commits = commits
        self._lease = lease_for.total_seconds()
        self._wake = wake
        self._agenda = Agenda(self._answered)
        self._away = False
        self._not_before = float("-inf")

    def arm_all(self) -> None:
        """Look for everything now."""
        for look in (self._wake_for_due, self._expire_jobs, self._rescue_expired):
            self._agenda.arm(look)

    def arm_for_due(self, remaining: timedelta) -> None:
        """A task was delayed: look when it is due."""
        self._agenda.arm(self._wake_for_due, max(0.0, remaining.total_seconds()) + _MARGIN)

    def arm_for_lease(self) -> None:
        """Somebody claims, or may claim, something: look when that lease could end."""
        self._agenda.arm(self._rescue_expired, self._lease + _MARGIN)

    def arm_for_unheard(self) -> None:
        """Somebody may not have heard of this worker yet: look when those leases could end, and it has."""
        self._agenda.arm(self._look_for_unheard, max(self._lease, HEARD_WITHIN.total_seconds()) + _MARGIN)

    def arm_for_deadlines(self) -> None:
        """There may be deadlines: look now."""
        self._agenda.arm(self._expire_jobs)

    def arm_for_deadline(self, remaining: timedelta) -> None:
        """Somebody submitted or admitted a job with a deadline: look when that has passed."""
        self._agenda.arm(self._expire_jobs, max(0.0, remaining.total_seconds()) + _MARGIN)

    def database_away(self) -> None:
        """The database did not answer, or much too late: nobody could renew a lease meanwhile."""
        self._away = True

    def database_back(self) -> None:
        """It answers. If it was away every lease seems to have run out: holders get one lease to renew."""
        if self._away:
            self._away = False
            self._not_before = anyio.current_time() + self._lease
            self._agenda.arm(self._rescue_expired, self._lease)

    async def run(self) -> None:
        """Rescue until cancelled. Begins by looking for everything."""
        self.arm_all()
        await self._agenda.run()

    async def _look_for_unheard(self) -> None:
        """Look for leases of a worker that took itself for the only one, until it had heard of this one."""
        await self._rescue_expired()

    def _answered(self, answered: bool) -> None:
        if answered:
            self.database_back()
        else:
            self.database_away()

    async def _wake_for_due(self) -> None:
        """Wake the claimer, and find out when the next task is due."""
        wait = await self._store.tasks.next_due()
        if wait is not None:
            self._agenda.arm(self._wake_for_due, wait.total_seconds() + _MARGIN)
        self._wake()

    async def _expire_jobs(self) -> None:
        """End the jobs whose deadline has passed."""
        overdue = await self._store.deadlines.overdue(BATCH)
        ended = 0
        for job, task in overdue:
            failure = Failure("DeadlineExceeded", "the job was not done by its deadline")
            result = await _committed(self._commits, transitions.expire(job, task, failure))
            if result is None:
                ended += 1
                _log.warning("job %s was not done by its deadline", job)
            else:
                _log.info("job %s has changed meanwhile, or has to wait: %s", job, result)
        wait = await self._store.deadlines.next()
        if wait is not None:
            stuck = ended < len(overdue)
            self._agenda.arm(self._expire_jobs, wait.total_seconds() + (STUCK if stuck else _MARGIN))

    async def _rescue_expired(self) -> None:
        """Give back what has expired, one by one."""
        expired = await self._store.tasks.expired(BATCH)
        self.database_back()
        if anyio.current_time() < self._not_before:
            self._agenda.arm(self._rescue_expired, self._not_before - anyio.current_time())
            return
        rescued = 0
        for task in expired:
            crash_point("rescue.begun", lambda: [task["_id"]])  # noqa: B023 -- called at once
            await self._store.workers.end_sessions(task["lease"]["worker"])
            rescued += await rescue(
                self._commits, task, "stopped renewing its lease (killed, or cut off)", expired=True
            )
        if rescued:
            await self._store.usage.give_up_of([task["job"] for task in expired])
            self._wake()
        wait = await self._store.tasks.next_lease_end()
        if wait is not None:
            stuck = bool(expired) and not rescued
            self._agenda.arm(self._rescue_expired, wait.total_seconds() + (STUCK if stuck else _MARGIN))


async def rescue(commits: Commits, task: dict[str, object], why: str, *, expired: bool) -> bool:
    """Give one task back.

    False when its holder ended it, when another rescuer was faster, or when it cannot be, as it is
    locked or its job in an impossible state: that is logged, and stops nothing else.
    """
    lease = task["lease"]
    worker = lease["worker"] if isinstance(lease, dict) else "?"
    failure = Failure("WorkerDied", f"worker {worker} {why}")
    result = await _committed(commits, transitions.rescue(task, failure, expired=expired))
    if result is None:
        _log.warning("rescued a task from %s", worker, extra={"task": task["_id"]})
    elif isinstance(result, Contended):
        _log.warning("%s has to wait: %s", task["_id"], result)
    elif isinstance(result, StateConflict):
        _log.error("task %s cannot be rescued (%s): run `millrace verify`", task["_id"], result)
    return result is None


async def _committed(commits: Commits, change: Change) -> LeaseLost | StateConflict | Contended | None:
    """Commit one change; returns None, or why that could not be: somebody was faster, it is locked."""
    [result] = await commits.commit([change])
    if result is None or isinstance(result, LeaseLost | StateConflict | Contended):
        return result
    raise result


async def release_worker(store: Store, worker: str) -> int:
    """Give back everything that a worker held which is known to be dead, at once; returns how many tasks.

    For supervisors that have reaped the process. Never call it for a worker that may be alive.
    """
    commits = store.commits()
    try:
        held = await store.tasks.of_worker(worker)
        await store.workers.end_sessions(worker)
        rescued = [await rescue(commits, task, "died", expired=False) for task in held]
        await store.usage.give_up_of([task["job"] for task in held])
        await store.workers.deregister(worker)
    finally:
        await commits.close()
    return sum(rescued)
