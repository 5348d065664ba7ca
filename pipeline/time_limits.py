"""Time limits of attempts: those of one length stand in a line, with a timer for the first of it.

Most attempts end long before their limit, and a timer for each costs as much as all else around a short one.
"""

import asyncio

import anyio


class TimeLimits:
    """What is cancelled when it takes longer than it may. For one event loop."""

    def __init__(self) -> None:
        self._lines: dict[float, Line] = {}

    def line(self, seconds: float) -> "Line":
        """Return the line of everything that may take so long."""
        if seconds not in self._lines:
            self._lines[seconds] = Line(seconds)
        return self._lines[seconds]


class Line:
    """In the order in which they began, which is that in which they are due."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[anyio.CancelScope, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def join(self, scope: anyio.CancelScope) -> None:
        """Cancel this when it has taken too long from now."""
        loop = asyncio.get_running_loop()
        self._due[scope] = loop.time() + self._seconds
        if self._timer is None:
            self._arm(loop)

    def leave(self, scope: anyio.CancelScope) -> None:
        """It has ended."""
        self._due.pop(scope, None)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look again when the first that is there now is due; it may be gone by then."""
        self._timer = loop.call_at(next(iter(self._due.values())), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._due and (first := next(iter(self._due.items())))[1] <= loop.time():
            del self._due[first[0]]
            first[0].cancel()
        if self._due:
            self._arm(loop)
