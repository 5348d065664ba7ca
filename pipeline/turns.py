"""Whose turn it is: every worker hears of every job, and one should act.

Highest random weight hashing (Thaler and Ravishankar, 1998) ranks the workers anew for every job. The first
acts at once; the others wait a little, longer the lower they rank, and act only when they have not heard
by then that somebody did. Ranks are a hint: the claim's compare-and-set decides.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import anyio

from pipeline.model import queue_name

STEP = 0.25
"""Seconds that the second and third in rank wait; the fourth to seventh wait two of these, and so on. Time
enough for the first to have admitted a job, and for everybody to have heard that, on a busy machine."""


class Peers:
    """The live workers, as far as this one has heard, and what they claim."""

    def __init__(self, own: str, queues: Sequence[str]) -> None:
        self._own = own
        self._others: frozenset[str] = frozenset()
        self._queues: dict[str, frozenset[str]] = {own: frozenset(queues)}

    def replace(self, workers: Iterable[Mapping[str, Any]], *, drained: Collection[str] = ()) -> None:
        """Note who is registered; those who are silent or `drained` begin nothing, and are not counted."""
        own, known = self._queues[self._own], {each["_id"]: each for each in workers}
        # One that is silent may be back before anybody asks again: only its record's end takes it away.
        self._others = self._others.union(known).difference([self._own])
        self._queues = {
            name: frozenset(each.get("queues", ()))
            for name, each in known.items()
            if each["alive"] and name not in drained
        }
        self._queues[self._own] = own

    def join(self, worker: str, queues: Sequence[str]) -> None:
        """A worker has come."""
        self._queues[worker] = frozenset(queues)
        self._others = self._others.union([worker]).difference([self._own])

    def leave(self, worker: str) -> None:
        """A worker has gone."""
        self._others = self._others.difference([worker])
        self.drain(worker)

    def drain(self, worker: str) -> None:
        """A worker begins nothing any more."""
        if worker != self._own:
            self._queues.pop(worker, None)

    def know(self, pipeline: str, version: float | None) -> bool:
        """Tell whether anybody claims some stage of this pipeline, in this version, or in any."""
        prefix = f"{pipeline}@" if version is None else queue_name(pipeline, int(version), "")
        return any(queue.startswith(prefix) for queues in self._queues.values() for queue in queues)

    @property
    def count(self) -> int:
        """How many workers there are, this one among them."""
        return len(self._queues)

    @property
    def alone(self) -> bool:
        """True when no other worker is there that may begin something."""
        return len(self._queues) == 1

    @property
    def sole(self) -> bool:
        """True when no other worker is there at all, not even one that begins nothing."""
        return not self._others

    def first(self, job: str, queue: str) -> bool:
        """Tell whether this worker comes first."""
        own = _weight(self._own, job)
        return not any(
            queue in queues and _weight(worker, job) > own
            for worker, queues in self._queues.items()
            if worker != self._own
        )

    def rank(self, job: str, queue: str | None) -> int:
        """Return how many of those who claim from this queue, or from any, come before this worker."""
        own = _weight(self._own, job)
        return sum(
            _weight(worker, job) > own
            for worker, queues in self._queues.items()
            if worker != self._own and (queue is None or queue in queues)
        )


def _weight(worker: str, job: str) -> tuple[int, str]:
    return crc32(f"{job} {worker}".encode()), worker


class Turns:
    """Jobs that others should begin, each with the time at which it is this worker's turn after all."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self._waiting: dict[str, tuple[float, int | None]] = {}
        self._order: list[tuple[float, str]] = []
        self._earlier = anyio.Event()

    def mine(self, job: str, queue: str | None, priority: int | None) -> bool:
        """Tell whether this worker is to act at once; if not, note when it will be.

        The queue, and the job's priority, may not be known.
        """
        rank = 0 if self.peers.alone else self.peers.rank(job, queue)
        if rank == 0:
            self.settle(job)
            return True
        at = anyio.current_time() + STEP * ((rank + 1).bit_length() - 1)
        if not self._order or at < self._order[0][0]:
            self._earlier.set()
        self._waiting[job] = at, priority
        heapq.heappush(self._order, (at, job))
        return False

    def settle(self, job: str) -> None:
        """Somebody has acted."""
        self._waiting.pop(job, None)

    def others(self, job: str) -> bool:
        """Tell whether somebody else is to begin with this job, for the moment."""
        return job in self._waiting

    async def next(self) -> int | None:
        """Return when the turn comes to this worker for jobs that nobody has begun: their highest priority.

        None when it isn't known.
        """
        while True:
            self._earlier = anyio.Event()
            at = self._order[0][0] if self._order else float("inf")
            with anyio.move_on_at(at):
                await self._earlier.wait()
                continue
            came = self._come(anyio.current_time())
            if came:
                return None if None in came else max(each for each in came if each is not None)

    def _come(self, now: float) -> list[int | None]:
        """Return the priorities of the jobs for which it is this worker's turn now."""
        came: list[int | None] = []
        while self._order and self._order[0][0] <= now:
            at, job = heapq.heappop(self._order)
            if self._waiting.get(job, (None,))[0] == at:
                came.append(self._waiting.pop(job)[1])
        return came
