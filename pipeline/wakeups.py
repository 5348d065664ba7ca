"""What a worker does with change events: wakeups, timers, cancellations; and without them."""

from collections.abc import Awaitable, Callable

from pipeline.gates import Gates
from pipeline.hosted import Hosted
from pipeline.leases import Leases
from pipeline.limit import limit_of
from pipeline.model import FINAL_STATES, SERVICE, job_of, tenant_of
from pipeline.rescuer import Rescuer
from pipeline.store.backlog import Backlog, priority_of
from pipeline.store.changes import Changes, Event, OperationTime, cluster_time
from pipeline.store.controls import Controls, breaker_of
from pipeline.store.limits import Limits
from pipeline.store.ponds import Ponds
from pipeline.store.refills import refill_of
from pipeline.turns import Turns
from pipeline.upkeep import Upkeep

Wake = Callable[..., None]
"""`wake(tasks=, jobs=, priority=, as_of=, tenant=)`, see `Intake.hint`."""


class Wakeups:
    """The listener's handler in a worker."""

    def __init__(
        self,
        *,
        changes: Changes,
        meet_peers: Callable[[], Awaitable[None]],
        backlog: Backlog,
        leases: Leases,
        rescuer: Rescuer,
        upkeep: Upkeep,
        turns: Turns,
        gates: Gates,
        controls: Controls,
        ponds: Ponds,
        limits: Limits,
        wake: Wake,
        hosted: Hosted,
    ) -> None:
        self._changes = changes
        self._meet_peers = meet_peers
        self._backlog = backlog
        self._leases = leases
        self._rescuer = rescuer
        self._upkeep = upkeep
        self._turns = turns
        self._gates = gates
        self._controls = controls
        self._ponds = ponds
        self._limits = limits
        self._wake = wake
        self._queues = frozenset(hosted.queues)
        self._hosted = hosted

    def on_start(self, position: str) -> None:
        """Look for what was there before: a new primary may have served older reads until now."""
        self._wake(as_of=cluster_time(position))

    def on_event(self, event: Event) -> None:
        """Turn an event into what it hints at."""
        match event.collection:
            case "jobs":
                self._on_job(event)
            case "tasks":
                self._on_task(event)
            case "workers":
                self._on_worker(event)
            case "controls":
                self._on_control(event)
            case "limits" | "refills":
                self._on_limit(event)
            case "budgets":
                self._wake(as_of=cluster_time(event.token))
            case "schedules":
                self._upkeep.scheduler.arm()

    async def reconcile(self, since: OperationTime | None) -> int:
        """Look for all that there may be, who is alive and what is paused; returns how many jobs wait."""
        if since is not None:
            self._upkeep.deadlines.look()
        since = since or await self._changes.now()
        found = await self._backlog.size(since)
        await self._gates.read(self._controls, self._ponds, self._limits, since)
        await self._meet_peers()
        self._wake(as_of=since)
        self._rescuer.arm_all()
        self._upkeep.arm_all()
        return found

    def _on_job(self, event: Event) -> None:
        state, deadline = event.fields.get("state"), event.fields.get("deadline")
        if deadline is not None:
            self._upkeep.deadlines.heard()
            self._rescuer.arm_for_deadline(deadline - event.at)
        if state == "submitted" and event.operation == "update":
            self._upkeep.strays.suspect()
            self._wake(tasks=False, as_of=cluster_time(event.token))
        elif state == "submitted":
            self._on_submitted(event)
        elif state is not None:
            self._turns.settle(event.id)
            self._rescuer.arm_for_lease()
            if state in FINAL_STATES:
                self._upkeep.batches.job_ended(event.id)

    def _on_submitted(self, event: Event) -> None:
        fields = event.fields
        queue = self._hosted.first_queue(fields.get("pipeline", ""), fields.get("pipeline_version"))
        priority = priority_of(event.fields)
        if queue is None and not self._turns.peers.know(
            event.fields.get("pipeline", ""), event.fields.get("pipeline_version")
        ):
            self._upkeep.strays.suspect()
        elif queue is not None and self._turns.mine(event.id, queue, priority):
            tenant = tenant_of(event.id)
            self._wake(tasks=False, priority=priority, as_of=cluster_time(event.token), tenant=tenant)

    def _on_task(self, event: Event) -> None:
        state = event.fields.get("state")
        if state == "ready":
            self._on_ready(event)
        elif state == "running":
            self._turns.settle(job_of(event.id))
            self._rescuer.arm_for_lease()
        elif state in ("cancelled", "failed"):
            self._leases.doubt(event.id)

    def _on_ready(self, event: Event) -> None:
        fields = event.fields
        self._rescuer.arm_for_lease()
        # An update carries only what changed, and neither queue nor priority ever do.
        queue, priority = fields.get("queue"), fields.get("priority")
        due_at = (fields.get("lease") or {}).get("until")
        if due_at is not None:
            self._rescuer.arm_for_due(due_at - event.at)
        elif queue is not None and queue not in self._queues:
            return
        elif self._turns.mine(job_of(event.id), queue, priority):
            self._wake(jobs=False, priority=priority, as_of=cluster_time(event.token))

    def _on_worker(self, event: Event) -> None:
        if event.operation == "delete":
            self._turns.peers.leave(event.id)
        else:
            self._turns.peers.join(event.id, event.fields.get("queues", ()))

    def _on_limit(self, event: Event) -> None:
        """Look again when a limit has changed, or when one that holds something back may have room."""
        gone = event.operation == "delete"
        if event.collection == "limits":
            self._gates.limit(event.id, None if gone else limit_of(event.fields))
            self._wake(as_of=cluster_time(event.token))
        elif "wait" in event.fields:  # a collection that is dropped tells of none
            self._gates.hear(*refill_of(event.id, event.fields))

    def _on_control(self, event: Event) -> None:
        """Close a gate at once; when one opens, look for what waited behind it."""
        if event.id.startswith(SERVICE):
            self._gates.know(event.id, breaker_of(event.fields))
            self._wake(as_of=cluster_time(event.token))
            return
        if event.operation != "delete":
            self._gates.close(event.id)
            for worker in self._gates.drained_workers:
                self._turns.peers.drain(worker)
            return
        self._gates.open(event.id)
        self._wake(as_of=cluster_time(event.token))
