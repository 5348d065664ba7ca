"""Give back tasks whose lease ran out, and wake the claimer for those that become due.

Nothing is polled: a timer is armed for the next lease end or due time, by one indexed query.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

import anyio

from pipeline import transitions
from pipeline.errors import LeaseLost, StateConflict, StoreUnavailable
from pipeline.model import Failure
from pipeline.store import Store
from pipeline.store.commits import Commits

_log = logging.getLogger("millrace.rescuer")

BATCH = 64
_MARGIN = 0.2
"""Seconds after a lease's end before it is looked at."""
_STUCK = 2.0
"""Seconds until the next look when nothing that had expired could be given back."""


class Rescuer:
    """One worker's rescues. `run` it in a task group."""

    def __init__(
        self, store: Store, commits: Commits, lease_for: timedelta, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._commits = commits
        self._lease = lease_for.total_seconds()
        self._wake = wake
        self._at = float("-inf")
        self._armed = anyio.Event()
        self._not_before = float("-inf")

    def arm(self, seconds: float) -> None:
        """Look again in that many seconds, or earlier."""
        at = anyio.current_time() + seconds
        if at < self._at:
            self._at = at
            self._armed.set()

    def arm_for_lease(self) -> None:
        """Somebody claimed something: look when that lease could end."""
        self.arm(self._lease + _MARGIN)

    async def run(self) -> None:
        """Rescue until cancelled."""
        while True:
            self._armed = anyio.Event()
            with anyio.CancelScope(deadline=self._at) as waiting:
                await self._armed.wait()
            if waiting.cancelled_caught:
                self._at = float("inf")
                await self._look()

    async def _look(self) -> None:
        try:
            none_left = await self._rescue_expired()
            wait = await self._store.tasks.next_wake()
        except StoreUnavailable as error:
            # After an outage every lease seems to have run out: their holders get time to renew first.
            _log.warning("rescue waits for the database: %s", error)
            self._not_before = anyio.current_time() + self._lease
            self.arm(1.0)
            return
        if wait is not None:
            self.arm(wait.total_seconds() + (_MARGIN if none_left else _STUCK))
        self._wake()

    async def _rescue_expired(self) -> bool:
        """Give back what has expired; False when something had, and none of it could be given back."""
        if anyio.current_time() < self._not_before:
            self.arm(self._not_before - anyio.current_time())
            return True
        expired = await self._store.tasks.expired(BATCH)
        rescued = 0
        for task in expired:
            await self._store.workers.end_sessions(task["lease"]["worker"])
            rescued += await rescue(
                self._commits, task, "stopped renewing its lease (killed, or cut off)", expired=True
            )
        return rescued > 0 or not expired


async def rescue(commits: Commits, task: dict[str, object], why: str, *, expired: bool) -> bool:
    """Give one task back.

    False when its holder ended it, when another rescuer was faster, or when it cannot be, as its job
    is in an impossible state: that is logged, and stops nothing else.
    """
    lease = task["lease"]
    worker = lease["worker"] if isinstance(lease, dict) else "?"
    failure = Failure("WorkerDied", f"worker {worker} {why}")
    [result] = await commits.commit([transitions.rescue(task, failure, expired=expired)])
    if isinstance(result, LeaseLost):
        return False
    if isinstance(result, StateConflict):
        _log.error("task %s cannot be rescued (%s): run `millrace verify`", task["_id"], result)
        return False
    if result is not None:
        raise result
    _log.warning("rescued a task from %s", worker, extra={"task": task["_id"]})
    return True


async def release_worker(store: Store, worker: str) -> int:
    """Give back everything that a worker held which is known to be dead, at once; returns how many tasks.

    For supervisors that have reaped the process. Never call it for a worker that may be alive.
    """
    commits = store.commits()
    try:
        held = await store.tasks.of_worker(worker)
        await store.workers.end_sessions(worker)
        rescued = [await rescue(commits, task, "died", expired=False) for task in held]
        await store.workers.deregister(worker)
    finally:
        await commits.close()
    return sum(rescued)
