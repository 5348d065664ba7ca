"""Run one attempt, from its task to its outcome. Read it top to bottom."""

import logging
import random
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import BaseModel

from pipeline.attempt import Attempt, Desk
from pipeline.breaker import HEARD
from pipeline.context import StageContext
from pipeline.crashpoints import crash_point
from pipeline.document import Document
from pipeline.errors import (
    ChildError,
    DaySpent,
    DefinitionError,
    LeaseLost,
    PartError,
    PermanentError,
    Snooze,
    TemporaryError,
    Unavailable,
)
from pipeline.instances import Instances
from pipeline.leases import Holding
from pipeline.model import Away, Failed, Failure, Lost, Outcome, Snoozed, Succeeded, Task
from pipeline.params import params_of
from pipeline.patience import until_available
from pipeline.processes import Processes
from pipeline.progress import Progress
from pipeline.stage import Pipeline, RetryPolicy, Stage
from pipeline.threads import Threads
from pipeline.time_limits import TimeLimits

_log = logging.getLogger("millrace.executor")

MAX_MESSAGE, MAX_TRACE = 2_000, 8_000
"""Characters of an error that are stored."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs attempts of the stages of one pipeline."""

    desk: Desk
    pipeline: Pipeline
    processes: Processes
    threads: Threads
    instances: Instances
    time_limits: TimeLimits

    async def execute(self, holding: Holding) -> Outcome:
        """Run the stage's function; every failure of it is an outcome, never an exception."""
        task, stage = holding.task, self.pipeline[holding.task.stage]
        with ExitStack() as cleanup:
            try:
                holding.limit(self.time_limits.line(stage.timeout.total_seconds()))
                return await self._call(stage, holding, Attempt(self.desk, holding, stage, cleanup))
            except LeaseLost:
                return Lost()
            except Exception as error:  # noqa: BLE001 -- whatever stage code raises is its outcome
                return _outcome(task, stage, error)
            except SystemExit as error:  # it would end the worker, and everything that runs beside it
                return failed(task, stage.retry, RuntimeError(f"the stage called sys.exit({error.code!r})"))

    def timed_out(self, task: Task) -> Outcome:
        """Return the outcome of an attempt that was stopped by its time limit."""
        stage = self.pipeline[task.stage]
        error = TemporaryError(f"the attempt took longer than the stage's timeout of {stage.timeout}")
        return failed(task, stage.retry, error)

    async def _call(self, stage: Stage, holding: Holding, services: Attempt) -> Outcome:
        task, outputs = holding.task, self.desk.store.outputs
        recipe = stage.recipe(task.params.get(stage.name) or {})
        if task.may_reuse and (reused := await services.reusable(recipe)):
            _log.info("reused an earlier output", extra={"task": task.id})
            return Succeeded(reused, None)
        before = self.pipeline.without(task.skip).before(stage.name)
        document = Document(
            name=task.document.name,
            media_type=task.document.media_type,
            size=task.document.size,
            sha256=task.document.sha256,
            services=services,
        )
        context = StageContext(
            job=task.job,
            task=task.id,
            stage=stage.name,
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            document=document,
            services=services,
            earlier={each.output: each.name for each in before},
            processes=self.processes,
            units=stage.units,
        )
        value: Document | BaseModel = document
        if stage.input is not Document:
            body = task.input.body or await services.output(before[-1].name)
            value = before[-1].output.model_validate(body)
        params = params_of(stage, self.desk.store.vault.opened(task.tenant, task.params))
        await services.trusted()
        crash_point("attempt.begun", lambda: [task.id])
        output = await stage.call(
            value, context, params, threads=self.threads, before=self.instances.of(stage)
        )
        crash_point("attempt.returned", lambda: [task.id])
        stored = await until_available(
            lambda: outputs.prepare(task, output.model_dump(mode="json"), recipe),
            "storing an output",
        )
        crash_point("output.stored", lambda: [task.id])
        return Succeeded(stored, _completed(services.told))


def _outcome(task: Task, stage: Stage, error: Exception) -> Outcome:
    cause = _unwrap(error)[1]
    if isinstance(cause, LeaseLost):  # met while a part of the work was saved
        return Lost()
    if isinstance(cause, Unavailable):
        why = _storable(str(cause))[:MAX_MESSAGE]
        away = None if cause.told else Away(cause.service, why, cause.retry_after)
        apart = stage.apart is not None and stage.apart.fullmatch(cause.service)
        service = cause.service if apart else None
        return Snoozed(min(cause.delay, HEARD), why, away, service=service)
    if isinstance(cause, Snooze):
        snoozed = Snoozed(cause.delay, _storable(str(cause))[:MAX_MESSAGE])
        if isinstance(cause, DaySpent):
            return replace(snoozed, budget=cause.subject, seen=cause.seen)
        return snoozed
    return failed(task, stage.retry, error)


def failed(task: Task, policy: RetryPolicy, error: Exception) -> Failed:
    """Return the outcome of an attempt that raised: whether, and in how long, it is tried again."""
    part, cause = _unwrap(error)
    kind = cause.type if isinstance(cause, ChildError) else type(cause).__name__
    failure = Failure(
        type=kind,
        message=_storable(str(cause) or kind)[:MAX_MESSAGE],
        part=part,
        trace=_storable("".join(traceback.format_exception(cause)))[-MAX_TRACE:],
    )
    _log.warning("attempt failed: %s", failure.type, extra={"task": task.id, "attempt": task.attempt})
    if isinstance(cause, PermanentError | DefinitionError) or task.attempt >= task.max_attempts:
        return Failed(failure, None)
    if isinstance(cause, TemporaryError) and cause.retry_after is not None:
        return Failed(failure, cause.retry_after)
    return Failed(failure, backoff(policy, task.attempt))


def _storable(text: str) -> str:
    """Escape what isn't valid Unicode, as in an error that quotes damaged text."""
    return text.encode(errors="backslashreplace").decode()


def _completed(told: Progress | None) -> Progress | None:
    """Bring progress to its total: the stage has returned."""
    return told if told is None or told.total is None else replace(told, done=told.total)


def backoff(policy: RetryPolicy, attempt: int) -> timedelta:
    """Return the wait after the n-th attempt, a random half of it taken off."""
    full = min(policy.first * policy.factor ** (attempt - 1), policy.longest)
    return full * random.uniform(0.5, 1)  # noqa: S311 -- jitter, no secret


def _unwrap(error: Exception) -> tuple[str | None, Exception]:
    """Find what really failed, and in which part, below the wrappers that it came in."""
    if isinstance(error, PartError) and isinstance(error.__cause__, Exception):
        return error.part, _unwrap(error.__cause__)[1]
    if isinstance(error, ExceptionGroup):
        return _unwrap(error.exceptions[0])
    return None, error
