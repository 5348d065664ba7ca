"""One worker's part in what all of them know of outside services: it tells, it waits, and it probes.

A breaker is one document, changed by compare-and-set; so of many workers one probes. When a pause is over
every worker looks for something to probe with; whoever has found that asks for the probe.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import anyio

from pipeline.breaker import Decide, begin_probe, give_back
from pipeline.crashpoints import crash_point
from pipeline.model import SERVICE, Outcome, Snoozed, Task, stage_queue, subject_of
from pipeline.patience import until_available
from pipeline.services import Services
from pipeline.store.controls import Controls


class Outages:
    """`run` it in a task group."""

    def __init__(self, services: Services, controls: Controls, worker: str, probe_for: timedelta) -> None:
        """Make one; a probe that has told nothing for so long does not keep others from it."""
        self._services = services
        self._controls = controls
        self._worker = worker
        self._probe_for = probe_for
        self._notes: list[tuple[str, Decide]] = []
        self._changed = anyio.Event()
        services.tell = self._note
        services.watchers.append(self._look)

    @property
    def half_open(self) -> bool:
        """True while an attempt may begin that finds out whether a service is back."""
        return bool(self._services.half_open)

    async def run(self, wake: Callable[[], None]) -> None:
        """Write what attempts here have found out, and wake when a probe is due; until cancelled."""
        looked_at = time.monotonic()
        while True:
            self._changed = anyio.Event()
            due = self._services.next_due(looked_at)
            wait = float("inf") if due is None else max(0.0, due - time.monotonic())
            with anyio.move_on_after(wait) as waiting:
                await self._changed.wait()
            if waiting.cancelled_caught:
                looked_at = time.monotonic()
                wake()
            if self._notes:
                await until_available(self.settle, "what was found out about a service")
                wake()

    async def settle(self) -> None:
        """Write what attempts here have found out.

        Raises:
            StoreUnavailable: the database is away; what is not written is kept.
        """
        while self._notes:
            note = self._notes.pop(0)  # taken first: as the worker stops, two call this at once
            try:
                await self._change(*note)
            except BaseException:
                self._notes.insert(0, note)
                raise

    async def begin(self, queue: str) -> Sequence[str]:
        """Ask for the probe of the services for which a queue, or a pond, is parked; returns them, or none.

        Raises:
            StoreUnavailable: the database is away.
        """
        pond = queue.partition("#")[2]
        services = self._services.parking(pond if pond.startswith(SERVICE) else subject_of(queue))
        for position, service in enumerate(services):
            if not await self._change(service, begin_probe(self._worker, self._probe_for)):
                for each in services[:position]:
                    self._note(each, give_back(self._worker))
                return []
        crash_point("probe.begun", lambda: [f":{stage_queue(queue).rpartition('/')[2]}:"])
        return services

    def assign(self, services: Sequence[str], tasks: Sequence[Task]) -> None:
        """Let the first of these tasks through, to services whose probe this worker has, or give it back."""
        if tasks:
            self._services.probe(tasks[0].id, services)
            return
        for each in services:
            self._note(each, give_back(self._worker))

    def ended(self, task: Task, outcome: Outcome) -> None:
        """An attempt has ended."""
        if isinstance(outcome, Snoozed) or self._services.probing:
            self._services.ended(task.id, task.subject, outcome)

    async def _change(self, service: str, decide: Decide) -> bool:
        """Change a breaker; True when this did, False when it was so before."""
        breaker, now, changed = await self._controls.change(SERVICE + service, decide)
        self._services.know(service, breaker, now)
        return changed

    def _note(self, service: str, decide: Decide) -> None:
        self._notes.append((service, decide))
        self._look()

    def _look(self) -> None:
        """A breaker has changed: its probe is due at another time."""
        self._changed.set()
