"""What to look at next, each with its time: nothing is polled, a timer is armed for the earliest."""

import logging
from collections.abc import Awaitable, Callable

import anyio

from pipeline.errors import StoreUnavailable

_log = logging.getLogger("millrace.agenda")

Look = Callable[[], Awaitable[None]]

STUCK = 2.0
"""Seconds until the next look when this one met no database, or could change nothing of what it found."""


def _nothing(answered: bool) -> None:
    """Nobody wants to know whether the database has answered."""


class Agenda:
    """Looks at the database, each at its time. `run` it in a task group."""

    def __init__(self, told: Callable[[bool], None] = _nothing) -> None:
        """Make one; after every look `told` hears whether the database has answered."""
        self._told = told
        self._looks: dict[Look, float] = {}
        self._armed = anyio.Event()

    def arm(self, look: Look, seconds: float = 0.0) -> None:
        """Look in so many seconds at the latest, by this process's clock."""
        at = anyio.current_time() + seconds
        if at < self._looks.get(look, float("inf")):
            self._looks[look] = at
            self._armed.set()

    async def run(self) -> None:
        """Look, one after the other, until cancelled."""
        while True:
            self._armed = anyio.Event()
            with anyio.move_on_at(min(self._looks.values(), default=float("inf"))) as waiting:
                await self._armed.wait()
            if waiting.cancelled_caught:
                now = anyio.current_time()
                for look in [look for look, at in self._looks.items() if at <= now]:
                    await self._look(look)

    async def _look(self, look: Look) -> None:
        del self._looks[look]
        try:
            await look()
            self._told(True)
        except StoreUnavailable as error:
            _log.warning("what is to be looked at waits for the database: %s", error)
            self._told(False)
            self.arm(look, STUCK)
