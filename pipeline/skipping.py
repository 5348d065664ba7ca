"""Jobs that skip a paused first stage: the index by which they are found, made beside the work.

Few deployments need it, and on a large collection it takes minutes, in which all else goes on.
"""

from collections.abc import Callable

from pipeline.agenda import Agenda
from pipeline.store.backlog import Backlog


class Skipping:
    """One worker's part in it: whoever needs the index first makes it."""

    def __init__(self, backlog: Backlog, agenda: Agenda, wake: Callable[[], None]) -> None:
        self._backlog = backlog
        self._agenda = agenda
        self._wake = wake

    def arm(self) -> None:
        """Make it now."""
        self._agenda.arm(self._index)

    async def _index(self) -> None:
        await self._backlog.index_skipping()
        self._wake()
