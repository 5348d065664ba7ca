"""The threads in which plain stage functions run.

A thread can't be stopped. When its attempt has ended before it, by its time limit or a cancelled job, it
is given up: what it returns is thrown away, and its slot stays taken until it does, so that functions that
hang cannot pile up.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, from_thread, to_thread

_log = logging.getLogger("millrace.threads")

T = TypeVar("T")


class Threads:
    """The threads of one worker."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._limiter = CapacityLimiter(float("inf"))  # slots are the limit
        self._changed = anyio.Event()
        self._left = False

    async def run(self, key: str, function: Callable[[], T]) -> T:
        """Run a function in a thread; `key` is its attempt's. When cancelled, this returns before it."""

        def work() -> T:
            self._running.add(key)
            try:
                return function()
            finally:
                from_thread.run_sync(self._end, key)

        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)

    async def gone(self, key: str) -> None:
        """Wait until the attempt's thread has ended, or is left behind."""
        if key in self._running:
            _log.warning("the thread of %s can't be stopped; its slot is taken until it returns", key)
        while key in self._running and not self._left:
            await self._changed.wait()

    def leave(self) -> None:
        """Wait for none any more: the worker stops."""
        self._left = True
        self._tell()

    def _end(self, key: str) -> None:
        self._running.discard(key)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
