"""A slot's work: a claimed task's attempt, what becomes of it, and the stages of the job that follow here."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import anyio

from pipeline import telemetry, transitions
from pipeline.budgets import release_if_changed
from pipeline.committer import Committer
from pipeline.crashpoints import crash_point
from pipeline.errors import LeaseLost, PermanentError, StateConflict, StoreUnavailable
from pipeline.executor import Executor, failed
from pipeline.handoff import Begin, HandOff
from pipeline.leases import Leases
from pipeline.model import Change, Failed, Interrupted, Lost, Outcome, Snoozed, Succeeded, Task
from pipeline.threads import Threads

_log = logging.getLogger("millrace.worker")


class Runner:
    """Runs what one worker has claimed; `run` it once for each occupied slot."""

    def __init__(
        self,
        worker: str,
        executors: Mapping[tuple[str, int], Executor],
        *,
        committer: Committer,
        leases: Leases,
        threads: Threads,
        hand_off: HandOff,
        alone: Callable[[], Awaitable[bool]],
        freed: Callable[[Task], None],
        told: Callable[[Task, Outcome], None],
        touch: Callable[[str], None],
        spent: Callable[[Task, Mapping[str, int], Outcome | None], None],
    ) -> None:
        """Make one; `executors` by pipeline, version; `alone` waits until nothing else runs, or is False.

        `told` hears how each attempt has ended, `freed` when that is durable, `touch` of a batch of which a
        job has, and `spent` of what an attempt has used that has reserved anything of a rate.
        """
        self._worker = worker
        self._executors = executors
        self._committer = committer
        self._leases = leases
        self._threads = threads
        self._hand_off = hand_off
        self._alone = alone
        self._freed = freed
        self._told = told
        self._touch = touch
        self._spent = spent

    async def run(self, task: Task) -> None:
        """Run a task, and those that follow it as long as this worker goes on with the job."""
        attempt = self._traced_attempt if telemetry.traced() else self._attempt
        following: Task | None = task
        while following is not None:
            ended = following
            _, following = await attempt(ended)
            self._freed(ended)

    async def _traced_attempt(self, task: Task) -> tuple[Outcome, Task | None]:
        attributes: dict[str, str | int] = {
            telemetry.JOB: task.job,
            telemetry.STAGE: task.stage,
            telemetry.WORKER: self._worker,
            telemetry.ATTEMPT_NUMBER: task.attempt,
        }
        with telemetry.span(telemetry.ATTEMPT, attributes, task.traceparent) as span:
            outcome, following = await self._attempt(task)
            span.set_attribute(telemetry.OUTCOME, _name(outcome))
            if isinstance(outcome, Failed):
                telemetry.mark_failed(span, outcome.failure.type)
        return outcome, following

    async def _attempt(self, task: Task) -> tuple[Outcome, Task | None]:
        executor = self._executors[task.pipeline, task.pipeline_version]
        started = time.monotonic()
        try:
            outcome = await self._outcome(executor, task)
        except anyio.get_cancelled_exc_class():
            self._told(task, Interrupted())
            with anyio.CancelScope(shield=True):
                await self._settle(executor, task, Interrupted())
            raise
        self._told(task, outcome)
        outcome, following = await self._settle(executor, task, outcome)
        if isinstance(outcome, Snoozed) and outcome.budget is not None:
            await release_if_changed(executor.desk.store, task, outcome)
        crash_point("attempt.settled", lambda: [task.id])
        labels = {telemetry.STAGE: task.stage, telemetry.OUTCOME: _name(outcome)}
        telemetry.attempts.add(1, labels)
        telemetry.duration.record(time.monotonic() - started, labels)
        await self._threads.gone(task.id)
        return outcome, following

    async def _outcome(self, executor: Executor, task: Task) -> Outcome:
        outcome: Outcome | None = None
        with anyio.CancelScope() as scope, self._leases.hold(task, scope) as holding:
            try:
                if not task.alone or await self._alone():
                    outcome = await executor.execute(holding)
                else:
                    holding.interrupt()
            finally:
                if task.reserved:
                    self._spent(task, holding.used, outcome)
        if outcome is not None:
            return outcome
        if holding.lost:
            return Lost()
        return Interrupted() if holding.interrupted else executor.timed_out(task)

    async def _settle(self, executor: Executor, task: Task, outcome: Outcome) -> tuple[Outcome, Task | None]:
        """Make an outcome durable; returns what became of it, and the task to go on with."""
        change, begin = self._change(executor, task, outcome)
        if change is None:
            return outcome, None
        try:
            as_of = await self._committer.commit(change)
        except (LeaseLost, StoreUnavailable):
            _log.warning("the lease was lost before the outcome was durable", extra={"task": task.id})
            return Lost(), None
        except PermanentError as error:
            policy = executor.pipeline[task.stage].retry
            return await self._settle(executor, task, failed(task, policy, error))
        except StateConflict:
            _log.exception("an impossible state: run `millrace verify`", extra={"task": task.id})
            return Lost(), None
        if change.ends_job and task.batch is not None:
            self._touch(task.batch)
        return outcome, begin and begin(as_of)

    def _change(self, executor: Executor, task: Task, outcome: Outcome) -> tuple[Change | None, Begin | None]:
        """Return the change that an outcome asks for; none for a lost lease, which may write nothing."""
        match outcome:
            case Succeeded():
                return self._hand_off.complete(task, outcome, executor.pipeline.without(task.skip))
            case Failed(failure, timedelta() as delay):
                return transitions.retry(task, failure, delay), None
            case Failed(failure, _):
                return transitions.fail(task, failure), None
            case Snoozed(delay=delay, why=why, budget=budget, service=service):
                return transitions.snooze(task, delay, why, budget, service), None
            case Interrupted():
                return transitions.interrupt(task), None
            case Lost():
                return None, None


def _name(outcome: Outcome) -> str:
    """Return an outcome's kind, as spans and metrics call it."""
    return type(outcome).__name__.lower()
