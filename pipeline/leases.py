"""Keep the leases of everything that this worker runs, and write its progress with them.

All renewals, and all progress that came in since, are one bulk write per tick: a quarter of the lease,
or sooner when there is progress, but at most four times a second. Only a refused renewal ends an
attempt; a database that is away suspends it: past the time for which a lease is surely ours, by this
process's own clock, no new part of the work is begun until a renewal has been accepted.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

import anyio

from pipeline.errors import StoreUnavailable
from pipeline.model import Lease, Task
from pipeline.patience import pauses
from pipeline.progress import Progress
from pipeline.store.tasks import Tasks
from pipeline.time_limits import Line

_log = logging.getLogger("millrace.leases")

PROGRESS_INTERVAL = 0.25
"""Seconds between two writes of progress, at least."""
TRUSTED = 0.9
"""The part of a lease for which it is trusted without asking: clocks don't all run at one rate."""


class Holding:
    """One held task, as long as its block lasts: its scope is cancelled when the lease is lost."""

    def __init__(self, task: Task, scope: anyio.CancelScope, held: dict[str, "Holding"]) -> None:
        self.task = task
        self._held = held
        self.lost = self.interrupted = False
        self._scope = scope
        self._commits = 0
        self._trusted_until = float("-inf")
        self._renewed: anyio.Event | None = None
        self.progress: Progress | None = None
        self.doubted = False
        self.used: dict[str, int] = {}
        """What the attempt has told that it used, by unit."""
        self._line: Line | None = None

    def __enter__(self) -> Self:
        self._held[self.task.id] = self
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.leave(self._scope)
        # A lost attempt may still be ending while the task is held again here, under a later claim.
        if self._held.get(self.task.id) is self:
            del self._held[self.task.id]

    def trust(self, asked_at: float, lease_for: timedelta) -> None:
        """A lease that was asked for at that monotonic time was granted."""
        self._trusted_until = max(self._trusted_until, asked_at + TRUSTED * lease_for.total_seconds())
        if self._renewed is not None:
            self._renewed.set()
            self._renewed = None

    async def trusted(self) -> None:
        """Return while the lease is surely ours, else when it has been renewed."""
        while time.monotonic() >= self._trusted_until:
            self._renewed = self._renewed or anyio.Event()
            await self._renewed.wait()

    def lose(self) -> None:
        """The lease is gone: stop the attempt."""
        self.lost = True
        self._scope.cancel()

    def interrupt(self) -> None:
        """The worker stops: stop the attempt."""
        self.interrupted = True
        self._scope.cancel()

    def limit(self, line: Line) -> None:
        """Stop the attempt when it takes longer from now than those of that line may."""
        self._line = line
        line.join(self._scope)

    def use(self, unit: str, amount: int) -> None:
        """Note that the attempt has used so much more of a unit."""
        self.used[unit] = self.used.get(unit, 0) + amount

    @property
    def committing(self) -> bool:
        """While a commit writes the task, a renewal beside it would make that commit conflict."""
        return self._commits > 0

    @contextmanager
    def commits(self) -> Iterator[None]:
        """Keep renewals and progress away while a commit writes the task."""
        self._commits += 1
        self.progress = None
        try:
            yield
        finally:
            self._commits -= 1


class Leases:
    """Everything that this worker holds. `run` it in a task group."""

    def __init__(self, tasks: Tasks, lease_for: timedelta) -> None:
        self._tasks = tasks
        self._lease_for = lease_for
        self._held: dict[str, Holding] = {}
        self._dirty = anyio.Event()
        self._interrupted = False

    def hold(self, task: Task, scope: anyio.CancelScope) -> Holding:
        """Renew this task's lease in the block for which this is opened."""
        holding = Holding(task, scope, self._held)
        holding.trust(task.lease.asked_at, self._lease_for)
        if self._interrupted:
            holding.interrupt()
        return holding

    def doubt(self, task: str) -> None:
        """Somebody has ended this task: if it runs here, renew it now, which ends the attempt if that is so.

        The event may be an old one, of before the claim that is held now.
        """
        holding = self._held.get(task)
        if holding is not None:
            holding.doubted = True
            self._dirty.set()

    def interrupt_all(self) -> None:
        """Stop every attempt, also those of a claim that is still under way."""
        self._interrupted = True
        for holding in self._held.values():
            holding.interrupt()

    def report(self, task: str, progress: Progress) -> None:
        """Note progress for the next write; of a task that isn't held (any more), forget it."""
        holding = self._held.get(task)
        if holding is not None and not holding.committing:
            holding.progress = progress
            self._dirty.set()

    async def run(self) -> None:
        """Renew and write progress until cancelled."""
        every = self._lease_for.total_seconds() / 4
        while True:
            renew_at = anyio.current_time() + every
            while anyio.current_time() < renew_at:
                with anyio.move_on_at(renew_at) as waiting:
                    await self._dirty.wait()
                if not waiting.cancelled_caught:
                    self._dirty = anyio.Event()
                    await self._write([each for each in self._held.values() if each.progress or each.doubted])
                    await anyio.sleep(PROGRESS_INTERVAL)
            # After an outage others wait one lease before they take anything: be back well within that.
            async for _ in pauses(longest=self._lease_for.total_seconds() / 8):
                if await self._write(list(self._held.values())):
                    break

    async def _write(self, holdings: list[Holding]) -> bool:
        """Renew these; False when the database is away."""
        renewed = {each.task.id: each for each in holdings if not each.committing}
        renewals: list[tuple[str, Lease, Progress | None]] = []
        for each in renewed.values():
            renewals.append((each.task.id, each.task.lease, each.progress))
            each.progress, each.doubted = None, False
        if not renewals:
            return True
        asked_at = time.monotonic()
        try:
            lost = await self._tasks.renew(renewals, self._lease_for)
        except StoreUnavailable as error:
            if len(renewals) > 1:
                return await self._write_each(list(renewed.values()))
            _log.warning("renewals wait for the database: %s", error)
            return False
        for task in renewed.keys() - lost:
            renewed[task].trust(asked_at, self._lease_for)
        for task in lost:
            holding = renewed[task]
            # A commit that began meanwhile has ended the lease itself, or will find out; and by now the
            # task may be held again, under a later claim of which this answer says nothing.
            if self._held.get(task) is holding and not holding.committing:
                _log.warning("lease lost", extra={"task": task})
                holding.lose()
        return True

    async def _write_each(self, holdings: list[Holding]) -> bool:
        """Renew each alone, at the same time: one that a transaction has locked holds the others up."""
        renewed = False

        async def one(holding: Holding) -> None:
            nonlocal renewed
            if await self._write([holding]):
                renewed = True

        async with anyio.create_task_group() as group:
            for each in holdings:
                group.start_soon(one, each)
        return renewed
