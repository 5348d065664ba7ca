"""Outcomes gather here and become durable together: group commit.

Idle, a change is committed at once; whatever arrives while a commit is in flight goes with the next.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from pipeline import telemetry
from pipeline.errors import Contended, MillraceError, StoreUnavailable
from pipeline.model import Change
from pipeline.patience import until_available
from pipeline.store.commits import MAX_BATCH, MAX_BATCH_BYTES, Commits, encoded_size


@dataclass(slots=True, eq=False)
class _Entry:
    change: Change
    size: int
    done: anyio.Event = field(default_factory=anyio.Event)
    error: MillraceError | None = None
    contended: bool = False
    """Locked by another transaction, perhaps for a minute: it goes alone, so that it holds nobody up."""

    def finish(self, error: MillraceError | None) -> None:
        self.error = error
        self.done.set()


class Committer:
    """One process's group commit. `run` it in a task group; `commit` from anywhere in that loop."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._waiting: deque[_Entry] = deque()
        self._arrived = anyio.Event()
        self._in_flight: list[_Entry] = []
        self._scope = anyio.CancelScope(shield=True)
        self._stopped = False

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
        self._arrived.set()
        with anyio.CancelScope(shield=True):
            await entry.done.wait()
        if entry.error is not None:
            raise entry.error
        return self._commits.operation_time

    async def commit_all(self, changes: Sequence[Change]) -> tuple[list[MillraceError | None], Any]:
        """Return when all are durable, or why one could not be, and an operation time; see `commit`."""
        entries = [_Entry(change, encoded_size(change)) for change in changes]
        if self._stopped:
            return [StoreUnavailable("this worker has stopped committing")] * len(entries), None
        self._waiting.extend(entries)
        self._arrived.set()
        with anyio.CancelScope(shield=True):
            for entry in entries:
                await entry.done.wait()
        return [entry.error for entry in entries], self._commits.operation_time

    async def run(self) -> None:
        """Commit batches until `stop`, whatever is cancelled around: what has joined is waited for."""
        with self._scope:
            while self._waiting or not self._stopped:
                await self._arrived.wait()
                self._arrived = anyio.Event()
                while self._waiting:
                    self._in_flight = self._next_batch()
                    await self._finish(self._in_flight)
        self._stopped = True
        for entry in [*self._in_flight, *self._waiting]:
            entry.finish(StoreUnavailable())

    def stop(self) -> None:
        """End `run` when everything that has joined is durable."""
        self._stopped = True
        self._arrived.set()

    def give_up_in(self, seconds: float) -> None:
        """End `run` by then: what is not known to be durable ends in `StoreUnavailable`."""
        self._scope.deadline = min(self._scope.deadline, anyio.current_time() + seconds)

    def _next_batch(self) -> list[_Entry]:
        entries = [self._waiting.popleft()]
        size = entries[0].size
        while self._may_join(entries, size):
            entries.append(self._waiting.popleft())
            size += entries[-1].size
        return entries

    def _may_join(self, entries: list[_Entry], size: int) -> bool:
        if not self._waiting or len(entries) == MAX_BATCH or entries[0].contended:
            return False
        return not self._waiting[0].contended and size + self._waiting[0].size <= MAX_BATCH_BYTES

    async def _finish(self, entries: list[_Entry]) -> None:
        telemetry.batch.record(len(entries))
        try:
            changes = [entry.change for entry in entries]
            results = await until_available(lambda: self._commits.commit(changes), "a commit")
        except MillraceError as error:
            results = [error] * len(entries)
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Contended):
                entry.contended = True
                self._waiting.append(entry)
            else:
                entry.finish(result)
        self._in_flight = []
