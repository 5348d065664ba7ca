"""What a worker looks after beside its tasks, on one agenda. None of it is urgent, and nothing is polled."""

from pipeline.agenda import Agenda
from pipeline.batches import Batches
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.commits import Commits
from pipeline.strays import Strays


class Upkeep:
    """One worker's share of it. `run` it in a task group."""

    def __init__(self, store: Store, commits: Commits, settings: WorkerSettings) -> None:
        """Make one; `commits` is a session of its own."""
        self._agenda = Agenda()
        self.batches = Batches(store, self._agenda)
        self.strays = Strays(store, commits, self._agenda, settings.admission_grace)

    def arm_all(self) -> None:
        """Look for everything now."""
        self.strays.arm()
        self.batches.arm()

    async def run(self) -> None:
        """Look until cancelled. Begins by looking for everything."""
        self.arm_all()
        await self._agenda.run()
