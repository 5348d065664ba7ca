"""Wakeup and free slots → leases. A wakeup is a hint; the claim is the truth."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from pipeline.model import Task
from pipeline.patience import until_available
from pipeline.store.tasks import Tasks


class Claimer:
    """Claims for one worker's slots."""

    def __init__(
        self, tasks: Tasks, worker: str, queues: Sequence[str], slots: int, lease_for: timedelta
    ) -> None:
        self._tasks = tasks
        self._worker = worker
        self._queues = list(queues)
        self._slots = self._free = slots
        self._lease_for = lease_for
        self._changed = anyio.Event()
        self._woken = True
        self._stopped = False

    def wake(self) -> None:
        """There may be work."""
        self._woken = True
        self._changed.set()

    def stop(self) -> None:
        """Claim no more: soft stop."""
        self._stopped = True
        self._changed.set()

    async def run(self, group: TaskGroup, attempt: Callable[[Task], Awaitable[None]]) -> None:
        """Claim whenever there may be work and a slot is free, until stopped."""
        while not self._stopped:
            if not (self._woken and self._free):
                await self._change()
                continue
            self._woken = False
            free = self._free
            claimed = await until_available(lambda: self._claim(free), "a claim")  # noqa: B023 -- awaited here
            alone = any(task.alone for task in claimed)
            # A full haul says that there may be more; less says that the queue was emptied.
            self._woken = self._woken or alone or len(claimed) == free
            self._free -= len(claimed)
            for task in claimed:
                group.start_soon(self._occupy, attempt, task)
            while alone and self._free < self._slots:
                await self._change()

    async def alone(self) -> bool:
        """Wait until the caller's attempt is the only one, as its task has killed a worker, it seems.

        False when the worker stops meanwhile.
        """
        while self._free < self._slots - 1 and not self._stopped:
            await self._change()
        return not self._stopped

    async def _change(self) -> None:
        changed = self._changed
        await changed.wait()
        if self._changed is changed:
            self._changed = anyio.Event()

    async def _claim(self, free: int) -> list[Task]:
        return await self._tasks.claim(self._queues, free, self._worker, self._lease_for)

    async def _occupy(self, attempt: Callable[[Task], Awaitable[None]], task: Task) -> None:
        try:
            await attempt(task)
        finally:
            self._free += 1
            self._changed.set()
