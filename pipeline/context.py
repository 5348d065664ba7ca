"""What stage code sees of its surroundings: its document, checkpoints, progress, earlier outputs.

A stage sees no database: everything here goes through `AttemptServices`.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar, TypeVarTuple

import anyio
from anyio import CapacityLimiter
from pydantic import BaseModel, TypeAdapter

from pipeline.attempt_services import AttemptServices
from pipeline.bridge import Bridge
from pipeline.cost import MOST_AMOUNT
from pipeline.document import Document
from pipeline.effects import Effects
from pipeline.errors import BudgetExceeded, DaySpent, NoOutput, PartError
from pipeline.processes import Processes
from pipeline.progress import Progress
from pipeline.spending import Spending
from pipeline.usage import Budget, Spent

T = TypeVar("T")
Part = TypeVar("Part")
Model = TypeVar("Model", bound=BaseModel)
Arguments = TypeVarTuple("Arguments")


_MOST = 2**63
_LONGEST_UNIT = 40
_LONGEST_NOTE = 80
_GIVING_UP = 2.0
"""Seconds for telling others that something isn't being made; else they see it by the end of the attempt."""

_OURS = uuid.UUID("6f1d2a0e-7b57-4c58-9d0b-3c7a5a1f9e42")
"""The namespace of idempotency keys."""


class StageContext:
    """One attempt, as its stage's code sees it."""

    def __init__(
        self,
        *,
        job: str,
        task: str,
        stage: str,
        attempt: int,
        max_attempts: int,
        document: Document,
        services: AttemptServices,
        earlier: dict[type[BaseModel], str],
        processes: Processes,
        units: frozenset[str] = frozenset(),
    ) -> None:
        self.job = job
        self.task = task
        self.stage = stage
        self.attempt = attempt
        """1 for the first attempt."""
        self.max_attempts = max_attempts
        """Attempts that this task has in all; the last one is followed by none."""
        self.document = document
        self._services = services
        self._earlier = earlier
        self._processes = processes
        self._units = units
        self._served = 0
        self._saved: dict[str, Any] | None = None
        self._told = Progress(0)
        self._bridge = Bridge()

    @cached_property
    def _effects(self) -> Effects:
        return Effects(self._services)

    @cached_property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that tells job, task and attempt with everything."""
        logger = logging.getLogger(f"millrace.stage.{self.stage}")
        extra = {"job": self.job, "task": self.task, "attempt": self.attempt}
        return logging.LoggerAdapter(logger, extra)

    @cached_property
    def idempotency_key(self) -> str:
        """A UUID for services outside that recognise what they did before: every attempt has the same.

        When the stage is run again, under a new revision, it is another. For several requests of one
        attempt append what tells them apart.
        """
        return str(uuid.uuid5(_OURS, self.task))

    @property
    def cancelled(self) -> bool:
        """True once this attempt is over: timed out, its job cancelled, its lease lost, the worker stopped.

        For plain functions, which nobody can stop: one that goes on for long looks here, and returns.
        Coroutines are cancelled, as anyio does.
        """
        return self._bridge.closed

    @property
    def processes(self) -> int:
        """How many child processes this worker runs at once, for all of its attempts."""
        return self._processes.total

    def progress(self, done: int, total: int | None = None, unit: str = "part") -> None:
        """Tell how far the stage is. Cheap: calls are coalesced into a few writes a second.

        Also from the thread of a plain stage function.

        Raises:
            ValueError: `done` or `total` is negative or beyond 64 bits, or the unit is long or no text.
        """
        self._told = _progress(done, total, unit)
        self._bridge.tell(self._services.report, self._told)

    def note(self, text: str) -> None:
        """Say what goes on inside of the parts that `progress` or `each` counts, as `1,204 tokens so far`.

        Shown beside the count until the next call of either. As cheap as `progress`.

        Raises:
            ValueError: it is long, or no text.
        """
        if len(text) > _LONGEST_NOTE or not text.isprintable():
            raise ValueError(f"a note is one line of at most {_LONGEST_NOTE} characters")
        self._told = replace(self._told, note=text)
        self._bridge.tell(self._services.report, self._told)

    @contextmanager
    def service(self, name: str) -> Iterator[None]:
        """Enclose a call of an outside service, also in a plain function: `with context.service("openai"):`.

        Raise `Unavailable(name)` inside when the service says that it is away: no attempt is charged, and the
        stages that use it are parked on all workers until one attempt has found it back. Any other error
        inside opens the breaker when it is the third in a row of this worker, and is raised as it is; a
        `PermanentError` is taken for an answer.

        `name` is yours, and the same in all stages that use the service. No secret may be in it.

        Raises:
            Unavailable: it is away; raised before the call is made.
            DefinitionError: this can't be a service's name.
        """
        self._bridge.tell(self._services.call, name)
        try:
            yield
        except Exception as error:
            self._bridge.tell(self._services.called, name, error)
            raise
        self._bridge.tell(self._services.called, name, None)

    def used(self, unit: str, amount: int) -> None:
        """Tell what this attempt has used of a unit that its stage's cost names; several calls add up.

        At the attempt's end, however it ends, the difference to what was reserved goes back to the rates
        that it was begun under, or is taken besides. One that doesn't call this has used what was reserved,
        or nothing when it asks to be called again (`Snooze`). Also from the thread of a plain function.

        Raises:
            ValueError: the stage names no such unit, or the amount is negative or too large.
        """
        if unit not in self._units:
            told = f"cost=Cost({unit!r}, …)"
            raise ValueError(f"stage {self.stage!r} costs no {unit!r}: give @stage {told}")
        if not 0 <= amount <= MOST_AMOUNT:
            raise ValueError(f"{unit} are used from 0 to {MOST_AMOUNT}, not {amount}")
        self._bridge.tell(self._services.use, unit, amount)

    def wait(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Call a coroutine function from a plain stage function: `context.wait(document.read)`.

        Raises:
            LeaseLost: this attempt is over, see `cancelled`; it should return.
        """
        return self._bridge.wait(function, *arguments)

    def end(self) -> None:
        """The attempt is over: what still runs of it stops waiting. The engine calls this."""
        self._bridge.close()

    async def output(self, model: type[Model]) -> Model:
        """Return an earlier stage's output by its type, that of the nearest stage which gives it.

        Raises:
            NoOutput: no stage before this one gives that type, or it is skipped for this job. A LookupError.
        """
        for given, stage in reversed(self._earlier.items()):
            if issubclass(given, model):
                return model.model_validate(await self._services.output(stage))
        raise NoOutput(f"no stage before {self.stage!r} gives {model.__name__}, or this job skips it")

    async def previous(self, model: type[Model]) -> Model | None:
        """Return what this stage wrote for this job when it ran before, of the same input; None if it didn't.

        That of the newest earlier run, in the same version of the stage. A stage that is run again can
        take over what was good in it.
        """
        body = await self._services.previous()
        return None if body is None else model.model_validate(body)

    async def run_process(
        self,
        function: Callable[[*Arguments], T],
        *arguments: *Arguments,
        timeout: timedelta | None = None,
        cpu: timedelta | None = None,
    ) -> T:
        """Run a plain function in a child process and return what it returns, or raise what it raises.

        For work that keeps a core busy, or that a document could make crash, hang or grow. The function
        and its arguments must be picklable: a module-level function of plain values. What it returns comes
        back as JSON: annotate it with a type that pydantic can turn into JSON and back. At most as many
        run at once as the worker has processors to give. The child is killed, with everything that it
        started, when the attempt is cancelled or the call takes longer than `timeout` or, on Linux, more
        processor time than `cpu`, and dies with the worker.

        Raises:
            DefinitionError: the function or its arguments can't go to a child process.
            TemporaryError, PermanentError: the function raised it.
            ChildError: the function raised anything else.
            ChildProcessDied: it crashed, exited, ran out of memory or took too long.
            InvalidAnswer: what came back is not what the function promises.
        """
        await self._services.trusted()
        served, self._served = self._served, self._served + 1
        return await self._processes.run(served, function, *arguments, timeout=timeout, cpu=cpu)

    async def checkpoint(
        self,
        key: str,
        function: Callable[[], Awaitable[T]],
        type_: type[T],
        *,
        progress: Callable[[], Progress] | None = None,
    ) -> T:
        """Return the part saved under `key`, or make it, save it durably and return it.

        Once this has returned, no later attempt calls `function` for this key again.
        `type_` is what the function returns: anything that pydantic can turn into JSON and back.
        `progress` is called when a new part is about to be saved, and written with it.
        """
        adapter = TypeAdapter(type_)
        saved = await self._load()
        if key in saved:
            return adapter.validate_python(saved[key])
        await self._services.trusted()
        self.log.debug("begun %s", key)
        value = await function()
        encoded = adapter.dump_python(value, mode="json")
        told = progress() if progress else None
        self._told = told or self._told
        await self._services.save(key, encoded, told)
        saved[key] = encoded
        self.log.debug("saved %s", key)
        return value

    async def remember(
        self,
        key: Mapping[str, Any],
        function: Callable[[], Awaitable[T]],
        type_: type[T],
        *,
        lifetime: timedelta,
        fresh: bool = False,
    ) -> T:
        """Return what any job of this tenant got for `key` at this stage, or make it and remember it.

        For what costs money or much time and depends on nothing but `key`, which is JSON and holds all of
        it: a model's name, its settings, the whole input; it is stored as a hash. `type_` is as for
        `checkpoint`. It is over after `lifetime`, and with another version of the stage. `fresh` makes it
        anew, and remembers that.

        What is asked for while another attempt makes it, in whatever worker, is waited for, not made twice;
        who makes it and fails, or dies, leaves it to the next.
        """
        adapter = TypeAdapter(type_)
        found = None if fresh else await self._services.recall(key)
        if found is not None:
            return adapter.validate_python(found[0])
        try:
            await self._services.trusted()
            value = await function()
            await self._services.keep(key, adapter.dump_python(value, mode="json"), lifetime)
        except BaseException:
            with anyio.move_on_after(_GIVING_UP, shield=True):
                await self._services.give_up_making(key)
            raise
        return value

    async def may_spend(self, budget: Budget | None = None, *, unpriced: str | None = None) -> bool:
        """Return if one more request to a service may be made, just before it is; False: nothing bounds it.

        `budget` is what the whole job may use, as the stage knows it; one that an operator has set for the
        job replaces it. Give `unpriced` where the cost of the request won't be known: why, and what to do.

        Raises:
            BudgetExceeded: the job has used up its budget; what it has saved is kept for when it is retried.
            DaySpent: one for the day is used up, the tenant's or everybody's. A Snooze: let it pass.
            PermanentError: one bounds the cost, which isn't known.
        """
        await self._services.trusted()
        return await self._services.may_spend(budget, unpriced=unpriced)

    def spending(self, likely: Spent) -> Spending:
        """Enclose a request to a service that is to be paid: `async with context.spending(likely) as it:`.

        Noted before it, durably, with what it is likely to take; say inside what it took, `await
        it.took(Spent(…))`, right after its answer, or that it took nothing, `it.free()`. If neither is said,
        or the process dies before it is, it counts with what was likely, for usage and budgets.
        """
        return Spending(self._services, likely)

    async def spend(self, spent: Spent) -> None:
        """Record what a request took, right after its answer; durable when it returns, whatever comes then.

        A process that dies between the answer and this loses that one record: see `spending`. Cancelled
        meanwhile, as by a time limit, it is written all the same.
        """
        await self._services.spend(spent)

    async def once(self, key: str, effect: Callable[[], Awaitable[T]], type_: type[T]) -> T:
        """Do something outside of MongoDB at most once over all attempts of this task, such as a mail.

        That it begins is saved before `effect` is called, and what it returned after it; a later attempt
        returns that. One that can't know whether an earlier one did it does not do it again, it fails:
        the other's process may have died in between. An effect that raises `TemporaryError` or `Snooze`
        says that it has not been done, and that a later attempt may do it.

        A service that takes an idempotency key needs none of this: use `checkpoint`, and give it
        `idempotency_key`.

        Raises:
            InDoubt: an earlier attempt began it and ended without saying whether it was done. Trying again
                keeps the doubt; running the job again from this stage does the effect afresh.
        """
        return await self._effects.once(key, effect, TypeAdapter(type_))

    async def each(
        self,
        parts: Sequence[Part],
        function: Callable[[Part], Awaitable[T]],
        type_: type[T],
        *,
        unit: str = "part",
        concurrency: int | None = None,
        number: Callable[[Part], int] | None = None,
    ) -> list[T]:
        """Do `function` for every part, some at a time, each one a checkpoint and a step of progress.

        Parts are keyed and named by their position from 1, or by what `number` says, each by another:
        `page 3` in an error is the third part, or the one of number 3.
        `concurrency` is at most the number of child processes when it is not given. Results come in
        the order of the parts.

        Raises:
            PartError: a part failed; the finished ones are kept, and the others in flight were cancelled.
                Where a budget was used up they have been ended: they are paid for.
        """
        saved = await self._load()
        numbers = list(map(number, parts)) if number else list(range(1, len(parts) + 1))
        keys = [f"{unit}-{each}" for each in numbers]
        done = sum(key in saved for key in keys)
        self.progress(done, len(parts), unit)
        results: dict[int, T] = {}
        failed: PartError | None = None
        limiter = CapacityLimiter(concurrency or self._processes.total)

        def step() -> Progress:
            nonlocal done
            done += 1
            return Progress(done, len(parts), unit, self._told.note)

        async def one(index: int, part: Part, scope: anyio.CancelScope) -> None:
            nonlocal failed
            async with limiter:
                if failed is not None:
                    return
                try:
                    results[index] = await self.checkpoint(
                        keys[index], lambda: function(part), type_, progress=step
                    )
                except Exception as error:  # noqa: BLE001 -- whatever it is, it is passed on with its part
                    failed = failed or _part_error(f"{unit} {numbers[index]}", error)
                    if not isinstance(error, DaySpent | BudgetExceeded):
                        scope.cancel()

        async with anyio.create_task_group() as group:
            for index, part in enumerate(parts):
                group.start_soon(one, index, part, group.cancel_scope)
        if failed is not None:
            raise failed
        return [results[index] for index in range(len(parts))]

    async def _load(self) -> dict[str, Any]:
        if self._saved is None:
            self._saved = dict(await self._services.checkpoints())
        return self._saved


def _progress(done: int, total: int | None, unit: str) -> Progress:
    """Check what is written together with everybody else's progress, and so must not be refused there."""
    if not (0 <= done < _MOST and 0 <= (total or 0) < _MOST):
        raise ValueError("progress counts from 0, in 64 bits")
    if len(unit) > _LONGEST_UNIT or not unit.isprintable():
        raise ValueError(f"a unit is one word of at most {_LONGEST_UNIT} characters, in the singular")
    return Progress(done, total, unit)


def _part_error(part: str, cause: Exception) -> PartError:
    error = PartError(part)
    error.__cause__ = cause
    return error
