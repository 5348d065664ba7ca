"""What a worker looks after beside its tasks, on one agenda. None of it is urgent, and nothing is polled."""

from collections.abc import Callable, Sequence

import anyio

from pipeline.agenda import Agenda
from pipeline.batches import Batches
from pipeline.cleanup import cleanup
from pipeline.deadlines import Deadlines
from pipeline.scheduler import Scheduler
from pipeline.settings import WorkerSettings
from pipeline.skipping import Skipping
from pipeline.store import Store
from pipeline.store.backlog import Backlog
from pipeline.store.commits import Commits
from pipeline.strays import Strays

SESSIONS = 3
"""In which it runs transactions."""


class Upkeep:
    """One worker's share of it. `run` it in a task group."""

    def __init__(
        self,
        store: Store,
        settings: WorkerSettings,
        worker: str,
        commits: Sequence[Commits],
        *,
        backlog: Backlog,
        wake: Callable[[], None],
        timed: Callable[[], None],
    ) -> None:
        """Make one; `commits` are `SESSIONS` of its own.

        `wake` hears that there may be work, `timed` that there may be deadlines.
        """
        for_strays, firing, of_tasks = commits
        self._agenda = Agenda()
        self.batches = Batches(store, self._agenda)
        self.scheduler = Scheduler(
            store, self._agenda, worker, {"cleanup": cleanup}, commits=firing, of_tasks=of_tasks
        )
        self.deadlines = Deadlines(store.deadlines, self._agenda, timed)
        self.skipping = Skipping(backlog, self._agenda, wake)
        self.strays = Strays(store, for_strays, self._agenda, settings.admission_grace)

    def arm_all(self) -> None:
        """Look for everything now."""
        self.strays.arm()
        self.batches.arm()
        self.scheduler.arm()

    async def run(self) -> None:
        """Look until cancelled. Begins by looking for everything."""
        self.arm_all()
        self.deadlines.look()
        async with anyio.create_task_group() as group:
            group.start_soon(self.scheduler.run)
            await self._agenda.run()
