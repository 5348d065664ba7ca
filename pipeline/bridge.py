"""From a plain stage function's thread to its worker's event loop, for as long as the attempt lasts."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import from_thread

from pipeline.errors import LeaseLost

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Bridge:
    """One attempt's; made in the event loop's thread."""

    def __init__(self) -> None:
        self._home = threading.get_ident()
        self._calls: set[anyio.CancelScope] = set()
        self.closed = False

    def close(self) -> None:
        """The attempt is over: what its function still waits for ends."""
        self.closed = True
        for scope in self._calls:
            scope.cancel()

    def tell(self, function: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        """Call a function in the event loop's thread, from there or from the other side."""
        if threading.get_ident() == self._home:
            function(*arguments)
        else:
            from_thread.run_sync(function, *arguments)

    def wait(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Call a coroutine function from the other side, and wait for it.

        Raises:
            LeaseLost: the attempt is over.
        """

        async def call() -> T:
            with anyio.CancelScope() as scope:
                self._calls.add(scope)
                try:
                    if not self.closed:
                        return await function(*arguments)
                finally:
                    self._calls.discard(scope)
            raise LeaseLost

        try:
            return from_thread.run(call)
        except (
            asyncio.CancelledError,
            CancelledError,
        ) as error:  # before `close` was
            raise LeaseLost from error
