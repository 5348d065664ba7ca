"""Wakeup and free slots → leases. A wakeup is a hint; the claim is the truth."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from pipeline.intake import Haul
from pipeline.model import Task
from pipeline.patience import until_available


class Claimer:
    """Claims for one worker's slots."""

    def __init__(self, slots: int) -> None:
        self._slots = self._free = slots
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

    @property
    def has_free(self) -> bool:
        """True while a slot is free for whatever waits."""
        return self._free > 0

    @property
    def stopped(self) -> bool:
        """True from the soft stop on."""
        return self._stopped

    async def run(
        self,
        group: TaskGroup,
        take: Callable[[int], Awaitable[Haul]],
        attempt: Callable[[Task], Awaitable[None]],
    ) -> None:
        """Take whenever there may be work and a slot is free, until stopped."""
        while not self._stopped:
            if not (self._woken and self._free):
                await self._change()
                continue
            self._woken = False
            free = self._free
            haul = await until_available(lambda: take(free), "a claim")  # noqa: B023 -- awaited here
            self._woken = self._woken or haul.more
            self._free -= len(haul.tasks)
            for task in haul.tasks:
                group.start_soon(self._occupy, attempt, task)
            alone = any(task.alone for task in haul.tasks)
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

    async def _occupy(self, attempt: Callable[[Task], Awaitable[None]], task: Task) -> None:
        try:
            await attempt(task)
        finally:
            self._free += 1
            self._changed.set()
