"""A worker: claims tasks, runs them, and keeps everything around them going."""

import logging
import os
import random
import secrets
import socket
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from pipeline import telemetry, transitions
from pipeline.admitter import Admitter
from pipeline.attempt import Desk
from pipeline.claimer import Claimer
from pipeline.committer import Committer
from pipeline.crashpoints import crash_point
from pipeline.errors import DefinitionError, LeaseLost, PermanentError, StateConflict, StoreUnavailable
from pipeline.executor import Executor, failed
from pipeline.feed import Feed
from pipeline.leases import Leases
from pipeline.listener import Listener
from pipeline.model import (
    Change,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Snoozed,
    Succeeded,
    Task,
    queue_name,
)
from pipeline.patience import until_available
from pipeline.processes import Processes
from pipeline.rescuer import Rescuer
from pipeline.settings import WorkerSettings
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.store.documents import UPLOAD_GRACE
from pipeline.store.tasks import Tasks
from pipeline.store.workers import DEAD_FOR
from pipeline.threads import Threads
from pipeline.wakeups import Wakeups
from pipeline.watermark import Watermark

_log = logging.getLogger("millrace.worker")

GIVE_UP = 10.0
"""Seconds after a hard stop for its last commits; the database is away if they take longer."""

UNHEARD_RECONCILIATION = 2.0
"""Seconds between reconciliations while no change stream tells of work."""


class Worker:
    """Runs stages of pipelines: `await worker.run()`, in a process of its own or inside an application.

    Args:
        store: A connected store.
        pipelines: What this worker hosts.
        settings: Slots, leases, and so on.
        stages: Names of the stages that it claims; all when not given.
        name: Unique among all workers; made from host and process when not given.
        feed: What people watch in this process: the worker's change stream feeds it, don't `run` it.

    Raises:
        DefinitionError: no pipeline, two of one name, or no stage with a given name.
    """

    def __init__(
        self,
        store: Store,
        pipelines: Sequence[Pipeline],
        settings: WorkerSettings | None = None,
        *,
        stages: Collection[str] | None = None,
        name: str | None = None,
        feed: Feed | None = None,
    ) -> None:
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._store = store
        self._settings = settings or WorkerSettings()
        self._pipelines = {pipeline.name: pipeline for pipeline in pipelines}
        if not pipelines or len(self._pipelines) != len(pipelines):
            raise DefinitionError("a worker needs at least one pipeline, and no two of one name")
        self._queues = _queues(pipelines, stages)
        lease = self._settings.lease
        # Of its own: it remembers the claims whose answer isn't known yet, which are this worker's alone.
        tasks = Tasks(store.db)
        self._claimer = Claimer(tasks, self.name, self._queues, self._settings.slots, lease)
        self._leases = Leases(tasks, lease)
        self._processes = Processes(self._settings.processes, self._settings.child_memory)
        self._threads = Threads()
        self._feed = feed
        self._soft, self._hard = anyio.Event(), anyio.Event()

    @property
    def role(self) -> str:
        """The listener role, shared by workers that host the same pipelines and listen to the same things."""
        kind = "worker" if self._feed is None else "worker-and-feed"
        return f"{kind}/" + "+".join(sorted(self._pipelines))

    def stop(self, *, now: bool = False) -> None:
        """Stop claiming, let attempts finish for the grace period, then interrupt them; `now`: at once."""
        self._claimer.stop()
        self._soft.set()
        if now:
            self._hard.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped or cancelled; being cancelled is a hard stop.

        Installs what is missing in the database. `task_status.started()` is called when the worker is
        registered and about to listen.

        Raises:
            StoreError: the database can't be used at all. While it is only away, the worker waits.
        """
        async with AsyncExitStack() as stack:
            commits, rescues = self._store.commits(), self._store.commits()
            stack.push_async_callback(commits.close)
            stack.push_async_callback(rescues.close)
            await stack.enter_async_context(self._processes)
            await until_available(self._store.install, "the start")
            await until_available(lambda: self._register(commits.session_id, rescues.session_id), "the start")
            committer = Committer(commits)
            rescuer = Rescuer(self._store, rescues, self._settings.lease, self._claimer.wake)
            async with anyio.create_task_group() as group:
                group.start_soon(committer.run)
                try:
                    await self._work(committer, rescuer, task_status)
                finally:
                    committer.stop()
            await self._leave()

    async def _work(self, committer: Committer, rescuer: Rescuer, status: TaskStatus[None]) -> None:
        async with anyio.create_task_group() as background:
            listener, wakeups = self._hear(committer, rescuer, background)
            background.start_soon(self._give_up_when_cancelled, committer)
            background.start_soon(self._leases.run)
            background.start_soon(rescuer.run)
            background.start_soon(self._sign_of_life, listener, rescuer)
            background.start_soon(self._reconcile, listener, wakeups)
            if self._settings.listen:
                background.start_soon(listener.run)
            status.started()
            await self._attempts(committer)
            if self._settings.listen:
                with suppress(StoreUnavailable), anyio.move_on_after(2):
                    await listener.save()
            background.cancel_scope.cancel()

    def _hear(self, committer: Committer, rescuer: Rescuer, group: TaskGroup) -> tuple[Listener, Wakeups]:
        watermark = Watermark()

        def settled(job: str) -> None:
            watermark.settle(job)
            self._claimer.wake()  # sooner than the event of the new task

        wakeups = Wakeups(
            changes=self._store.changes,
            admitter=Admitter(committer, self._pipelines, settled),
            leases=self._leases,
            rescuer=rescuer,
            watermark=watermark,
            wake=self._claimer.wake,
            queues=self._queues,
            pipelines=self._pipelines,
            group=group,
        )
        listener = Listener(
            self._store.changes,
            self._store.listeners,
            role=self.role,
            member=self.name,
            handler=wakeups,
            feed=self._feed,
        )
        return listener, wakeups

    async def _attempts(self, committer: Committer) -> None:
        """Claim and run until the soft stop, then wait for what runs, and interrupt it in the end."""
        desk = Desk(self._store, committer, self._leases, self._settings.lease)
        executors = {
            name: Executor(desk, pipeline, self._processes, self._threads)
            for name, pipeline in self._pipelines.items()
        }

        async def attempt(task: Task) -> None:
            await self._attempt(executors[task.pipeline], committer, task)

        async with anyio.create_task_group() as stopping:
            async with anyio.create_task_group() as attempts:
                stopping.start_soon(self._stop_in_time, committer, attempts.cancel_scope)
                await self._claimer.run(attempts, attempt)
            stopping.cancel_scope.cancel()

    async def _stop_in_time(self, committer: Committer, attempts: anyio.CancelScope) -> None:
        await self._soft.wait()
        self._threads.leave()
        crash_point("stop.begun")
        with anyio.move_on_after(self._settings.grace.total_seconds()):
            await self._hard.wait()
        self._leases.interrupt_all()
        crash_point("stop.interrupted")
        await anyio.sleep(GIVE_UP)
        _log.error("the database is away: leaving, what runs here is rescued when its leases end")
        committer.give_up_in(0)
        attempts.cancel()

    async def _attempt(self, executor: Executor, committer: Committer, task: Task) -> None:
        attributes: dict[str, str | int] = {
            telemetry.JOB: task.job,
            telemetry.STAGE: task.stage,
            telemetry.WORKER: self.name,
            telemetry.ATTEMPT_NUMBER: task.attempt,
        }
        with telemetry.span(telemetry.ATTEMPT, attributes, task.traceparent) as span:
            started = anyio.current_time()
            try:
                outcome = await self._outcome(executor, task)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await self._settle(executor.pipeline, committer, task, Interrupted())
                raise
            outcome = await self._settle(executor.pipeline, committer, task, outcome)
            crash_point("attempt.settled", lambda: [task.id])
            kind = type(outcome).__name__.lower()
            span.set_attribute(telemetry.OUTCOME, kind)
            if isinstance(outcome, Failed):
                telemetry.mark_failed(span, outcome.failure.type)
            labels = {telemetry.STAGE: task.stage, telemetry.OUTCOME: kind}
            telemetry.attempts.add(1, labels)
            telemetry.duration.record(anyio.current_time() - started, labels)
        await self._threads.gone(task.id)
        self._claimer.wake()

    async def _outcome(self, executor: Executor, task: Task) -> Outcome:
        outcome: Outcome | None = None
        with anyio.CancelScope() as scope, self._leases.hold(task, scope) as holding:
            if not task.alone or await self._claimer.alone():
                outcome = await executor.execute(holding)
        return outcome or (Lost() if holding.lost else Interrupted())

    async def _settle(
        self, pipeline: Pipeline, committer: Committer, task: Task, outcome: Outcome
    ) -> Outcome:
        """Make an outcome durable; returns what became of it."""
        change = _transition(task, outcome, pipeline)
        if change is None:
            return outcome
        try:
            await committer.commit(change)
        except (LeaseLost, StoreUnavailable):
            _log.warning("the lease was lost before the outcome was durable", extra={"task": task.id})
            return Lost()
        except PermanentError as error:
            return await self._settle(
                pipeline, committer, task, failed(task, pipeline[task.stage].retry, error)
            )
        except StateConflict:
            _log.exception("an impossible state: run `millrace verify`", extra={"task": task.id})
            return Lost()
        return outcome

    async def _give_up_when_cancelled(self, committer: Committer) -> None:
        """Being cancelled is a hard stop: what runs is given back, but not waited for without end."""
        try:
            await anyio.sleep_forever()
        finally:
            committer.give_up_in(GIVE_UP)

    async def _sign_of_life(self, listener: Listener, rescuer: Rescuer) -> None:
        """Tell that this worker is alive, and find out when the database isn't."""
        every = self._settings.lease.total_seconds() / 4
        while True:
            await anyio.sleep(every)
            try:
                await self._store.workers.seen(self.name, self._settings.lease, listening=listener.healthy)
            except StoreUnavailable:
                rescuer.database_away()
            else:
                rescuer.database_back()

    async def _reconcile(self, listener: Listener, wakeups: Wakeups) -> None:
        """The net below the change stream: rare while it is well, every two seconds while it is not."""
        mean = self._settings.reconciliation.total_seconds()
        due = anyio.current_time() + mean * random.uniform(0.5, 1.5)  # noqa: S311 -- jitter, no secret
        while True:
            await anyio.sleep(UNHEARD_RECONCILIATION)
            if listener.healthy and anyio.current_time() < due and not wakeups.resubmitted:
                continue
            with suppress(StoreUnavailable):
                wakeups.resubmitted = False
                await wakeups.reconcile(None)
                await self._store.documents.sweep(UPLOAD_GRACE)
                await self._store.workers.forget(DEAD_FOR)
            due = anyio.current_time() + mean * random.uniform(0.5, 1.5)  # noqa: S311

    async def _register(self, *sessions: Any) -> None:
        await self._store.workers.register(
            self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._queues,
            slots=self._settings.slots,
            sessions=sessions,
            alive_for=self._settings.lease,
        )
        await self._store.pipelines.register(self._pipelines.values())

    async def _leave(self) -> None:
        with suppress(StoreUnavailable), anyio.move_on_after(2):
            await self._store.workers.deregister(self.name)


def _queues(pipelines: Sequence[Pipeline], stages: Collection[str] | None) -> list[str]:
    known = {stage.name for pipeline in pipelines for stage in pipeline.stages}
    unknown = set(stages or ()) - known
    if unknown:
        raise DefinitionError(
            f"no stage is named {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}"
        )
    return [
        queue_name(pipeline.name, pipeline.version, stage.name)
        for pipeline in pipelines
        for stage in pipeline.stages
        if stages is None or stage.name in stages
    ]


def _transition(task: Task, outcome: Outcome, pipeline: Pipeline) -> Change | None:
    """Return the change that an outcome asks for; None for a lost lease, which may write nothing."""
    match outcome:
        case Succeeded():
            return transitions.complete(task, outcome, pipeline)
        case Failed(failure, timedelta() as delay):
            return transitions.retry(task, failure, delay)
        case Failed(failure, _):
            return transitions.fail(task, failure)
        case Snoozed(delay, why):
            return transitions.snooze(task, delay, why)
        case Interrupted():
            return transitions.interrupt(task)
        case Lost():
            return None
