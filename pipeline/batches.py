"""Find the ends of batches: after the end of each of their jobs, and again by reconciliation."""

import logging

from pipeline.agenda import Agenda
from pipeline.crashpoints import crash_point
from pipeline.store import Store
from pipeline.store.batches import Batches as Stored

_log = logging.getLogger("millrace.batches")

_SOON = 0.1
"""Seconds until a look for the end of a batch of which a job has ended: more of it may end meanwhile."""

PAGE = 256


class Batches:
    """One worker's part in it."""

    def __init__(self, store: Store, agenda: Agenda) -> None:
        self._batches = store.batches
        self._agenda = agenda
        self._ended_jobs: set[str] = set()
        self._touched: set[str] = set()
        """Of which a job has ended here."""

    def arm(self) -> None:
        """Look at all that may end, now."""
        self._agenda.arm(self._look_at_all)

    def job_ended(self, job: str) -> None:
        """A job was heard to have failed, or to be cancelled."""
        self._ended_jobs.add(job)
        self._agenda.arm(self._look, _SOON)

    def touch(self, batch: str) -> None:
        """A job of this batch has ended in this process."""
        self._touched.add(batch)
        self._agenda.arm(self._look, _SOON)

    async def finish(self) -> None:
        """Look now for the ends of which something was heard: this worker leaves."""
        await self._look()

    async def _look(self) -> None:
        touched, jobs = self._touched, self._ended_jobs
        self._touched, self._ended_jobs = set(), set()
        try:
            if jobs:
                touched |= await self._batches.of_jobs(sorted(jobs))
            for batch in sorted(touched):
                await conclude(self._batches, batch)
        except BaseException:
            self._touched |= touched
            self._ended_jobs |= jobs
            raise

    async def _look_at_all(self) -> None:
        page = await self._batches.closed("", PAGE)
        while page:
            for batch in page:
                if batch.get("cancelled"):
                    await cancel_jobs(self._batches, batch["_id"])
                await conclude(self._batches, batch["_id"])
            page = await self._batches.closed(page[-1]["_id"], PAGE)


async def cancel_jobs(batches: Stored, batch: str) -> None:
    """Cancel a batch's open jobs, however many, some at a time; safe to be done again, and by many."""
    while await batches.cancel_open(batch):
        crash_point("batch.cancelling")


async def conclude(batches: Stored, batch: str) -> None:
    """End a batch if its last job has ended."""
    crash_point("batch.due")
    state = await batches.end(batch)
    if state is not None:
        _log.info("batch %s has ended: %s", batch, state)
