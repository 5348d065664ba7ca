"""Jobs with deadlines: the index by which they are found, made when there is a first one.

In time, or an overdue job would be left alone: before a job with a deadline is admitted, and when one is
heard of that waits. Of those that nobody has heard of, as they came from a driver of its own while no worker
listened, a look at what waits tells.
"""

from collections.abc import Callable

from pipeline.agenda import Agenda
from pipeline.store.deadlines import Deadlines as Stored


class Deadlines:
    """One worker's part in it."""

    def __init__(self, stored: Stored, agenda: Agenda, made: Callable[[], None]) -> None:
        """Make one; `made` hears that there is an index: overdue jobs can be found by now."""
        self._stored = stored
        self._agenda = agenda
        self._made = made
        self._done = False

    def look(self) -> None:
        """Find out whether the index is needed by jobs that nobody has heard of."""
        if not self._done:
            self._agenda.arm(self._look)

    def heard(self) -> None:
        """A job has a deadline: make the index beside the work. On a large collection it takes a while."""
        if not self._done:
            self._agenda.arm(self.require)

    async def require(self) -> None:
        """Return when there is an index.

        Raises:
            StoreUnavailable: the database is away; call again.
        """
        if not self._done:
            await self._stored.index()
            self._done = True
            self._made()

    async def _look(self) -> None:
        if await self._stored.lack_index():
            await self.require()
