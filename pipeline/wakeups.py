"""What a worker does with change events: admission, wakeups, timers, cancellations; and without them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup

from pipeline.admitter import Admitter
from pipeline.leases import Leases
from pipeline.rescuer import Rescuer
from pipeline.store.changes import Changes, Event, OperationTime
from pipeline.watermark import Watermark


class Wakeups:
    """The listener's handler in a worker."""

    def __init__(
        self,
        *,
        changes: Changes,
        admitter: Admitter,
        leases: Leases,
        rescuer: Rescuer,
        watermark: Watermark,
        wake: Callable[[], None],
        queues: Collection[str],
        pipelines: Collection[str],
        group: TaskGroup,
    ) -> None:
        self._changes = changes
        self._admitter = admitter
        self._leases = leases
        self._rescuer = rescuer
        self._watermark = watermark
        self._wake = wake
        self._queues = frozenset(queues)
        self._pipelines = list(pipelines)
        self._group = group
        self.resubmitted = False
        """A job was put back to `submitted`: its event tells too little, the next reconciliation finds it."""

    def on_event(self, event: Event) -> None:
        """Turn an event into what it hints at."""
        if event.collection == "jobs":
            self._on_job(event)
        else:
            self._on_task(event)
        self._watermark.saw(event.token)

    def on_idle(self, token: str) -> None:
        """Move on with the stream."""
        self._watermark.saw(token)

    def safe_position(self) -> str:
        """Return the position before the oldest job that has not left `submitted`."""
        return self._watermark.safe()

    async def reconcile(self, since: OperationTime | None) -> int:
        """Admit every submitted job, wake the claimer, look for expired leases; returns how many jobs."""
        since = since or await self._changes.now()
        jobs = await self._changes.submitted(self._pipelines, since)
        hosted = [job for job in jobs if self._admitter.hosts(job)]
        async with anyio.create_task_group() as group:  # together, so that they share commits
            for job in hosted:
                self._admitter.admit_soon(group, job["_id"], job)
        self._wake()
        self._rescuer.arm(0)
        return len(hosted)

    def _on_job(self, event: Event) -> None:
        state, deadline = event.fields.get("state"), event.fields.get("deadline")
        if deadline is not None:
            self._rescuer.arm_for_deadline(deadline - event.at)
        if state == "submitted" and event.operation == "update":
            self.resubmitted = True
        elif state == "submitted":
            if self._admitter.hosts(event.fields):
                self._watermark.expect(event.id)
                self._admitter.admit_soon(self._group, event.id, event.fields)
        elif state is not None:
            self._watermark.settle(event.id)

    def _on_task(self, event: Event) -> None:
        state = event.fields.get("state")
        if state == "ready":
            self._on_ready(event.fields)
        elif state == "running":
            self._rescuer.arm_for_lease()
        elif state in ("cancelled", "failed"):
            self._leases.doubt(event.id)

    def _on_ready(self, fields: Mapping[str, Any]) -> None:
        if fields.get("delayed"):
            self._rescuer.arm(0)
        # An update carries only what changed, and the queue never does.
        elif fields.get("queue") in (None, *self._queues):
            self._wake()
