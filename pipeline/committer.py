"""Outcomes gather here and become durable together: group commit.

Idle, a change is committed at once; whatever arrives while a commit is in flight goes with the next.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from pipeline import telemetry
from pipeline.errors import Contended, MillraceError, StoreUnavailable
from pipeline.model import Change
from pipeline.patience import until_available
from pipeline.store.commits import MAX_BATCH, MAX_BATCH_BYTES, Commits, encoded_size

Key = tuple[str, str]

MUCH = MAX_BATCH // 4
"""Changes that have to wait before they are worth a transaction beside the one in flight."""


@dataclass(slots=True, eq=False)
class _Entry:
    change: Change
    size: int
    done: bool = False
    error: MillraceError | None = None
    contended: bool = False
    """Locked by another transaction, perhaps for a minute: it goes alone, so that it holds nobody up."""
    _waiter: asyncio.Future[None] | None = None

    @property
    def key(self) -> Key:
        """What it guards."""
        return self.change.guard.collection, self.change.guard.filter["_id"]

    def finish(self, error: MillraceError | None) -> None:
        if not self.done:
            self.error, self.done = error, True
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when it is done, and not before: a cancellation is kept for later.

        anyio raises it again at the next wait. Only then is there a scope: it costs as much as all the rest.
        """
        try:
            await self._finished()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._finished()

    async def _finished(self) -> None:
        if not self.done:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Committer:
    """One process's group commit. `run` it in a task group; `commit` from anywhere in that loop.

    Each of the `lanes` commits one batch at a time. The first takes whatever there is; the others take
    their share once much is waiting, so that the stages' code runs while MongoDB writes.
    """

    def __init__(self, *lanes: Commits) -> None:
        self._lanes = lanes
        self._waiting: deque[_Entry] = deque()
        self._changed = anyio.Event()
        self._in_flight: set[_Entry] = set()
        self._written: set[Key] = set()
        """Documents that a batch in flight writes: another transaction would meet its locks."""
        self._scope = anyio.CancelScope(shield=True)
        self._stopped = False
        self._as_of: Any = None
        """An operation time as of which everything can be read that was committed so far."""

    async def commit(self, change: Change) -> Any:
        """Return when the change is durable, with an operation time as of which it can be read.

        Not interrupted by cancellation once it has joined. While the database is away this waits: the
        attempt is suspended, not lost.

        Raises:
            LeaseLost: the guard did not match; nothing was written.
            StateConflict: what it creates exists already. Never expected.
            PermanentError: it can't be stored, and joined no batch.
            StoreUnavailable: the committer gave up; whether it is durable isn't known.
        """
        entry = _Entry(change, encoded_size(change))
        if self._stopped:
            raise StoreUnavailable("this worker has stopped committing")
        self._waiting.append(entry)
        self._tell()
        await entry.wait()
        if entry.error is not None:
            raise entry.error
        return self._as_of

    async def commit_all(self, changes: Sequence[Change]) -> tuple[list[MillraceError | None], Any]:
        """Return when all are durable, or why one could not be, and an operation time; see `commit`."""
        entries = [_Entry(change, encoded_size(change)) for change in changes]
        if self._stopped:
            return [StoreUnavailable("this worker has stopped committing")] * len(entries), None
        self._waiting.extend(entries)
        self._tell()
        with anyio.CancelScope(shield=True):
            for entry in entries:
                await entry.wait()
        return [entry.error for entry in entries], self._as_of

    async def run(self) -> None:
        """Commit batches until `stop`, whatever is cancelled around: what has joined is waited for."""
        with self._scope:
            async with anyio.create_task_group() as group:
                for position, commits in enumerate(self._lanes):
                    group.start_soon(self._lane, commits, 1 if position == 0 else MUCH)
        self._stopped = True
        for entry in [*self._in_flight, *self._waiting]:
            entry.finish(StoreUnavailable())

    async def _lane(self, commits: Commits, least: int) -> None:
        """Commit batch after batch as long as that many changes wait; in the end, whatever there is."""
        while self._waiting or not self._stopped:
            enough = self._stopped or len(self._waiting) >= least
            entries = self._next_batch() if enough else []
            if entries:
                await self._finish(commits, entries)
            else:
                if self._changed.is_set():
                    self._changed = anyio.Event()
                await self._changed.wait()

    def _tell(self) -> None:
        """Let lanes look that wait: one that finds too little waits for the next change."""
        self._changed.set()

    def stop(self) -> None:
        """End `run` when everything that has joined is durable."""
        self._stopped = True
        self._tell()

    def give_up_in(self, seconds: float) -> None:
        """End `run` by then: what is not known to be durable ends in `StoreUnavailable`."""
        self._scope.deadline = min(self._scope.deadline, anyio.current_time() + seconds)

    def _next_batch(self) -> list[_Entry]:
        """Take the oldest changes that may go together, and beside what is in flight."""
        entries: list[_Entry] = []
        size, put_off = 0, []
        while self._waiting and len(entries) < MAX_BATCH and not (entries and entries[0].contended):
            entry = self._waiting[0]
            if entry.key in self._written:
                put_off.append(self._waiting.popleft())
                continue
            if entries and (entry.contended or size + entry.size > MAX_BATCH_BYTES):
                break
            entries.append(self._waiting.popleft())
            size += entry.size
        self._waiting.extendleft(reversed(put_off))
        return entries

    async def _finish(self, commits: Commits, entries: list[_Entry]) -> None:
        telemetry.batch.record(len(entries))
        keys = {entry.key for entry in entries}
        self._in_flight.update(entries)
        self._written |= keys
        try:
            changes = [entry.change for entry in entries]
            results = await until_available(lambda: commits.commit(changes), "a commit")
        except MillraceError as error:
            results = [error] * len(entries)
        times = [lane.operation_time for lane in self._lanes]
        self._as_of = max((time for time in times if time is not None), default=None)
        self._in_flight.difference_update(entries)
        self._written -= keys
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Contended):
                entry.contended = True
                self._waiting.append(entry)
            else:
                entry.finish(result)
        self._tell()
