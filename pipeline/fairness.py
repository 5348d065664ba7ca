"""What tenants that the best of the queue leaves out would begin: so that they get their share of the slots.

A claim reads the head of the queue, where one tenant's ten thousand documents can stand before another's one.
When there is more than it has read, it looks who else waits, and takes their oldest into account.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anyio

from pipeline.model import tenant_of
from pipeline.shares import Shares
from pipeline.store.backlog import Backlog
from pipeline.store.changes import OperationTime
from pipeline.store.tenants import Tenants

KEPT = 1.0
"""Seconds for which it is known who has anything to do; who submits meanwhile is heard of."""

MOST_LINES = 32
"""Tenants of which the oldest jobs are read with one claim, those first that have had least."""

EACH = 4
"""Jobs that are read of each."""

Doc = Mapping[str, Any]


class Fairness:
    """One worker's fair shares."""

    def __init__(self, tenants: Tenants, backlog: Backlog) -> None:
        self._tenants = tenants
        self._backlog = backlog
        self.shares = Shares()
        self._open: set[str] = set()
        self._asked_at = float("-inf")
        self._left: set[str] = set()

    def hear(self, tenant: str) -> None:
        """A tenant has submitted a job."""
        self._open.add(tenant)
        self._left.add(tenant)

    def note_left(self, jobs: Iterable[str]) -> None:
        """These wait for a slot, as far as this worker has seen."""
        self._left = {tenant_of(job) for job in jobs}

    def owes(self, tenant: str) -> bool:
        """Tell whether another tenant waits that has had less than this one."""
        return self.shares.owed(tenant, self._left)

    async def ready(self, found: Sequence[Doc], queues: Sequence[str]) -> Sequence[Doc]:
        """Return ready tasks of tenants that are not among the found ones."""
        lines = await self._lines(tenant_of(each["job"]) for each in found)
        jobs = await self._tenants.oldest(lines, "running", EACH) if lines else []
        return await self._tenants.ready(jobs, queues) if jobs else []

    async def submitted(self, found: Sequence[Doc], as_of: OperationTime | None) -> Sequence[Doc]:
        """Return submitted jobs, whole, of tenants that are not among the found ones."""
        lines = await self._lines(tenant_of(each["_id"]) for each in found)
        jobs = await self._tenants.oldest(lines, "submitted", EACH) if lines else []
        return await self._backlog.read(jobs, as_of) if jobs else []

    async def _lines(self, served: Iterable[str]) -> list[str]:
        """Return the tenants that have something to do besides these, those first that have had least."""
        if anyio.current_time() - self._asked_at > KEPT:
            self._asked_at = anyio.current_time()
            self._open = set(await self._tenants.with_open_jobs())
        return self.shares.least(self._open.difference(served), MOST_LINES)
