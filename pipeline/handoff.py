"""Sticky hand-off: the worker that has ended a stage goes on with the next one, already claimed.

No claim and no wait for an event. Only where a claim would have chosen that task as
well: a job under way goes before others of its priority, but not before one of a higher priority.
"""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from pipeline import transitions
from pipeline.gates import Gates
from pipeline.model import Change, Hold, Input, Lease, Succeeded, Task, queue_name
from pipeline.stage import Pipeline, Stage
from pipeline.store.changes import OperationTime
from pipeline.store.clock import ServerClock

AT_ONCE = 0.01
"""Seconds within which what comes after one commit is claimed together: its leases end that much early."""

Begin = Callable[[Any], Task]
"""Makes the task that this worker goes on with, once its creation is durable as of an operation time."""


class HandOff:
    """One worker's hand-offs."""

    def __init__(
        self,
        worker: str,
        queues: Collection[str],
        clock: ServerClock,
        lease_for: timedelta,
        may_go_on: Callable[[Task], bool],
        gates: Gates,
    ) -> None:
        """Make one; `may_go_on` tells whether a task's job comes before everything that waits."""
        self._worker = worker
        self._queues = frozenset(queues)
        self._clock = clock
        self._lease_for = lease_for
        self._may_go_on = may_go_on
        self._gates = gates
        self._claim_id = uuid4().hex
        """Of all tasks that this worker creates as claimed: with the fence it tells holders apart."""
        self._latest: Hold | None = None
        self._latest_as_of: OperationTime | None = None

    def _enough(self, current: Stage, following: Stage, task: Task, pipeline: Pipeline) -> bool:
        """Tell whether what this task gives back is enough for the next, or it has to ask like all others."""
        limits = self._gates.limits
        if not limits:
            return True
        wanted = limits.of_task(following, task, pipeline)
        return not limits.rated(wanted, following) and set(wanted) <= set(
            limits.of_task(current, task, pipeline)
        )

    def hold(self, as_of: OperationTime | None) -> Hold | None:
        """Claim what is about to be created, after this operation time; None when nobody knows the time."""
        latest = self._latest
        if (
            latest is not None
            and as_of is self._latest_as_of
            and time.monotonic() - latest.asked_at < AT_ONCE
        ):
            return latest
        self._clock.check(as_of)
        now = self._clock.now()
        self._latest_as_of = as_of
        self._latest = None if now is None else Hold(self._worker, self._claim_id, now, now + self._lease_for)
        return self._latest

    def complete(self, task: Task, result: Succeeded, pipeline: Pipeline) -> tuple[Change, Begin | None]:
        """Return the change that ends a task, and what begins the next one if this worker goes on with it."""
        current, following = pipeline[task.stage], pipeline.after(task.stage)
        hold: Hold | None = None
        if following is not None and not task.alone and self._may_go_on(task):
            queue = queue_name(pipeline.name, pipeline.version, following.name)
            open_ = queue in self._queues and self._gates.lets(
                queue, task.tenant, following.service_of(task.tenant, task.params.get(following.name) or {})
            )
            enough = open_ and self._enough(current, following, task, pipeline)
            hold = self.hold(task.as_of) if enough else None
        change = transitions.complete(task, result, pipeline, hold)
        if hold is None:
            return change, None
        created = next(document for collection, document in change.creates if collection == "tasks")
        body = result.output.body if created["input"]["output"] == task.id else None
        return change, partial(_begun, task, created, Input(created["input"]["sha256"], body), hold)


def _begun(before: Task, created: Mapping[str, Any], given: Input, hold: Hold, as_of: Any) -> Task:
    """Return the task that was created as held, after another of its job."""
    return Task(
        id=created["_id"],
        job=before.job,
        tenant=before.tenant,
        pipeline=before.pipeline,
        pipeline_version=before.pipeline_version,
        stage=created["stage"],
        revision=created["revision"],
        priority=before.priority,
        attempt=1,
        max_attempts=created["max_attempts"],
        lease=Lease(hold.claim_id, 1, hold.worker, hold.asked_at),
        traceparent=before.traceparent,
        document=before.document,
        params=before.params,
        inputs=created["inputs"],
        input=given,
        as_of=as_of,
        fresh=True,
        batch=before.batch,
        skip=before.skip,
        again=before.again,
    )
