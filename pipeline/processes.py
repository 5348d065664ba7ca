"""Child processes for work that keeps a core busy, shared by all attempts of a worker.

The attempt that was served least goes first, so that a one-page document does not wait behind all the
pages of a long one.
"""

import heapq
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import CapacityLimiter, to_process

from pipeline.tether import tether

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Processes:
    """At most `total` child processes, kept for the next call."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._limiter = CapacityLimiter(total)
        self._arrival = count()
        self._waiting: list[tuple[int, int, anyio.Event]] = []

    async def run(self, served: int, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run a picklable function in a child process and return what it returns.

        `served` is how many calls the caller has had; those with fewer go first. The child is killed
        when the call is cancelled, and dies with this process.
        """
        call = partial(_in_child, os.getpid(), function, *arguments)
        async with self._turn(served):
            return await to_process.run_sync(call, cancellable=True, limiter=self._limiter)

    @asynccontextmanager
    async def _turn(self, served: int) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(served)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, served: int) -> None:
        turn = anyio.Event()
        entry = (served, next(self._arrival), turn)
        heapq.heappush(self._waiting, entry)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._pass_on()
            else:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def _pass_on(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self._free += 1


def _in_child(parent: int, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    tether(parent, signal.SIGKILL)
    return function(*arguments)
