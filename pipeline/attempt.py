"""One attempt's surroundings, from MongoDB: its document, checkpoints, progress, earlier outputs."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from pipeline import transitions
from pipeline.budgets import Allowance
from pipeline.committer import Committer
from pipeline.crashpoints import crash_point
from pipeline.leases import Holding, Leases
from pipeline.model import StageOutput, Task
from pipeline.patience import until_available
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.remembering import Remembering
from pipeline.services import Services
from pipeline.stage import Stage
from pipeline.store import Store
from pipeline.store.usage import asked_record, usage_record
from pipeline.usage import Budget, Spent

_EFFECT = "once."
"""Before the keys of effects: unlike checkpoints they are good for every version of the stage."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every attempt of a worker works with."""

    store: Store
    committer: Committer
    leases: Leases
    lease_for: timedelta
    services: Services


class Attempt:
    """`AttemptServices` over the store. While the database is away, its calls wait."""

    def __init__(self, desk: Desk, holding: Holding, stage: Stage, cleanup: ExitStack) -> None:
        self._desk = desk
        self._holding = holding
        self._task: Task = holding.task
        self._cleanup = cleanup
        self._path: Path | None = None
        self._reading: anyio.Lock | None = None
        self._stage_version = stage.version
        self.told: Progress | None = None
        """The last progress of this attempt."""

    @cached_property
    def _prefix(self) -> str:
        """Before the keys of checkpoints: those of another version or input are not this attempt's."""
        return f"{self._stage_version}.{self._task.input.sha256[:16]}."

    @cached_property
    def _allowance(self) -> Allowance:
        return Allowance(self._desk.store, self._task)

    @cached_property
    def _remembering(self) -> Remembering:
        return Remembering(self._desk.store.memories, self._task, self._stage_version)

    async def document_path(self) -> Path:
        """Return a local copy of the document; made at the first call."""
        self._reading = self._reading or anyio.Lock()
        async with self._reading:
            if self._path is None:
                folder = TemporaryDirectory(prefix="millrace-", ignore_cleanup_errors=True)
                path = Path(self._cleanup.enter_context(folder), "document")
                documents = self._desk.store.documents
                task = self._task
                await until_available(
                    lambda: documents.save(task.document, path, as_of=task.as_of), "reading a document"
                )
                self._path = path
        return self._path

    async def checkpoints(self) -> Mapping[str, Any]:
        """Return the parts that earlier attempts saved."""
        return await self._kept(self._prefix)

    async def effects(self) -> Mapping[str, Any]:
        """Return what earlier attempts noted of their effects."""
        return await self._kept(_EFFECT)

    async def _kept(self, prefix: str) -> Mapping[str, Any]:
        if self._holding.task.fresh:
            return {}
        outputs = self._desk.store.outputs
        task = self._task
        saved = await until_available(
            lambda: outputs.checkpoints(task.id, as_of=task.as_of), "reading checkpoints"
        )
        return {key.removeprefix(prefix): value for key, value in saved.items() if key.startswith(prefix)}

    async def save(self, key: str, value: Any, progress: Progress | None) -> None:
        """Save a part; durable when it returns.

        Raises:
            LeaseLost: another worker may hold the task.
            PermanentError: the value can't be stored.
        """
        self.told = progress or self.told
        await self._keep(self._prefix + key, value, progress)

    async def note(self, key: str, value: Any) -> None:
        """Note something of an effect; as `save`."""
        await self._keep(_EFFECT + key, value, None)

    async def _keep(self, key: str, value: Any, progress: Progress | None) -> None:
        change = transitions.checkpoint(self._task, key, value, progress, self._desk.lease_for)
        crash_point("checkpoint.made", lambda: [self._task.id])
        asked_at = time.monotonic()
        with self._holding.commits():
            await self._desk.committer.commit(change)
        self._holding.trust(asked_at, self._desk.lease_for)
        crash_point("checkpoint.saved", lambda: [self._task.id])

    async def trusted(self) -> None:
        """Return while the lease is surely held, else when it has been renewed."""
        await self._holding.trusted()

    async def recall(self, key: Mapping[str, Any]) -> tuple[Any] | None:
        """See `Remembering.recall`."""
        return await self._remembering.recall(key)

    async def keep(self, key: Mapping[str, Any], value: Any, lifetime: timedelta) -> None:
        """See `Remembering.keep`."""
        await self._remembering.keep(key, value, lifetime)

    async def give_up_making(self, key: Mapping[str, Any]) -> None:
        """See `Remembering.give_up`."""
        await self._remembering.give_up(key)

    async def may_spend(self, own: Budget | None, *, unpriced: str | None) -> bool:
        """Check the budgets; False when there is none.

        Raises:
            BudgetExceeded, DaySpent, PermanentError: see `Allowance.check`.
        """
        return await until_available(
            lambda: self._allowance.check(own, unpriced=unpriced), "looking budgets up"
        )

    async def ask(self, likely: Spent) -> Any:
        """Note that a request is about to be made; returns its record's id."""
        record = asked_record(self._task, likely)
        await self._record(lambda: self._desk.store.usage.ask(record))
        crash_point("usage.asked", lambda: [self._task.id])
        return record["_id"]

    async def spend(self, spent: Spent, request: Any = None) -> None:
        """Record usage, also when the attempt is being cancelled or its lease is lost: it has been paid."""
        record = usage_record(self._task, spent, request)
        crash_point("usage.due", lambda: [self._task.id])
        await self._record(lambda: self._desk.store.usage.keep(record))

    async def give_up(self, request: Any, *, free: bool) -> None:
        """Take a request's note back, or let it count; also when the attempt is being cancelled."""
        usage = self._desk.store.usage
        await self._record(lambda: usage.drop(request) if free else usage.give_up(request))

    async def _record(self, write: Callable[[], Awaitable[None]]) -> None:
        async def shielded() -> None:
            with anyio.CancelScope(shield=True):  # it ends within the store's timeout
                await write()

        await until_available(shielded, "recording usage")

    def use(self, unit: str, amount: int) -> None:
        """Note what was used of a unit, until the attempt ends."""
        self._holding.use(unit, amount)

    def report(self, progress: Progress) -> None:
        """Note progress for the next tick."""
        self.told = progress
        self._desk.leases.report(self._task.id, progress)

    def call(self, service: str) -> None:
        """Note that an outside service is about to be called; Unavailable: it is left alone."""
        self._desk.services.call(self._task.id, self._task.subject, service)

    def called(self, service: str, error: Exception | None) -> None:
        """Note how a call of an outside service has ended."""
        self._desk.services.called(self._task.id, self._task.subject, service, error)

    async def output(self, stage: str) -> Mapping[str, Any]:
        """Return the body of an earlier stage's output."""
        task = self._task
        revision = task.inputs[stage]
        outputs = self._desk.store.outputs
        return await until_available(
            lambda: outputs.body(task.job, stage, revision, as_of=task.as_of), "reading an output"
        )

    async def reusable(self, recipe: Recipe) -> StageOutput | None:
        """Return this stage's newest earlier output of the same recipe, if all before it was the same."""
        reuse = self._desk.store.reuse
        return await until_available(lambda: reuse.find(self._task, recipe), "looking for an earlier output")

    async def previous(self) -> Mapping[str, Any] | None:
        """Return the body of this stage's newest earlier output of the same input and version."""
        task = self._task
        if task.revision == 1:
            return None
        outputs = self._desk.store.outputs
        return await until_available(
            lambda: outputs.previous(task, self._stage_version), "reading an earlier output"
        )
