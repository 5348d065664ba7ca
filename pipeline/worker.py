"""A worker: claims tasks, runs them, and keeps everything around them going."""

import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
from anyio.abc import TaskStatus

from pipeline.admitter import Admitter
from pipeline.attempt import Desk
from pipeline.claimer import Claimer
from pipeline.committer import Committer
from pipeline.crashpoints import crash_point
from pipeline.errors import StoreUnavailable
from pipeline.executor import Executor
from pipeline.fairness import Fairness
from pipeline.feed import Feed
from pipeline.gates import Gates
from pipeline.handoff import HandOff
from pipeline.hosted import Hosted
from pipeline.instances import Instances
from pipeline.intake import Intake
from pipeline.leases import Leases
from pipeline.listener import Listener
from pipeline.model import Task, queue_name
from pipeline.outages import Outages
from pipeline.patience import until_available
from pipeline.processes import Processes
from pipeline.rationing import Rationing
from pipeline.rescuer import Rescuer
from pipeline.runner import Runner
from pipeline.settings import WorkerSettings
from pipeline.settlements import Settlements
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.store.backlog import Backlog
from pipeline.store.clock import ServerClock
from pipeline.store.documents import UPLOAD_GRACE
from pipeline.store.permits import Permits
from pipeline.store.tasks import Tasks
from pipeline.store.workers import DEAD_FOR
from pipeline.threads import Threads
from pipeline.time_limits import TimeLimits
from pipeline.turns import Peers, Turns
from pipeline.upkeep import SESSIONS, Upkeep
from pipeline.wakeups import Wakeups

_log = logging.getLogger("millrace.worker")

GIVE_UP = 10.0
"""Seconds after a hard stop for its last commits; the database is away if they take longer."""

LANES = 3
"""Transactions of outcomes in flight at once."""

PEERS_AGE = 10.0
"""Seconds after which it is asked again who is alive, when somebody did not act in time."""

UNHEARD_RECONCILIATION = 2.0
"""Seconds between reconciliations while no change stream tells of work."""


class Worker:
    """Runs stages of pipelines: `await worker.run()`, in a process of its own or inside an application.

    Args:
        store: A connected store.
        pipelines: What this worker hosts; of one pipeline several versions, if old jobs are still there.
        settings: Slots, leases, and so on.
        stages: Names of the stages that it claims; all when not given.
        name: Unique among all workers; made from host and process when not given.
        feed: What people watch in this process: the worker's change stream feeds it, don't `run` it.

    Raises:
        DefinitionError: no pipeline, two of one name and version, or no stage with a given name.
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
        self._hosted = Hosted(pipelines, stages)
        self._queues = self._hosted.queues
        lease = self._settings.lease
        # Of its own: it remembers the claims whose answer isn't known yet, which are this worker's alone.
        self._tasks = Tasks(store.db)
        self._backlog = Backlog(store.db, self._hosted.beginning, lambda: self._upkeep.skipping.arm())
        self._turns = Turns(Peers(self.name, self._queues))
        self.gates = Gates(self.name, self._queues, self._hosted.units, self._hosted.apart)
        """What this worker knows to be paused."""
        self._outages = Outages(self.gates.services, store.controls, self.name, lease)
        self._settlements = Settlements(store.rates, self.gates.limits, self._wake)
        self._clock = ServerClock(lease)
        self._claimer = Claimer(self._settings.slots)
        self._leases = Leases(self._tasks, lease)
        self._processes = Processes(self._settings.processes, self._settings.child_memory)
        self._threads = Threads()
        self._instances = Instances()
        self._preparing = anyio.CancelScope()
        self._feed = feed
        self._intake: Intake
        self._listener: Listener
        self._upkeep: Upkeep
        self._sessions: list[Any] = []
        self._soft, self._hard = anyio.Event(), anyio.Event()

    @property
    def role(self) -> str:
        """The listener role, shared by workers that host the same pipelines and listen to the same things."""
        kind = "worker" if self._feed is None else "worker-and-feed"
        return f"{kind}/" + "+".join(self._hosted.names)

    def stop(self, *, now: bool = False) -> None:
        """Stop claiming, let attempts finish for the grace period, then interrupt them; `now`: at once."""
        self._claimer.stop()
        self._preparing.cancel()
        self._soft.set()
        if now:
            self._hard.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until stopped or cancelled; being cancelled is a hard stop.

        Installs what is missing in the database, and prepares the stages that are classes.
        `task_status.started()` is called when the worker is registered and about to listen.

        Raises:
            PreparationFailed: a stage could not be prepared.
            StoreError: the database can't be used at all. While it is only away, the worker waits.
        """
        async with AsyncExitStack() as stack:
            lanes = [self._store.commits() for _ in range(LANES)]
            rescues, grants, *upkeep = [self._store.commits() for _ in range(2 + SESSIONS)]
            for commits in (*lanes, rescues, grants, *upkeep):
                stack.push_async_callback(commits.close)
            await stack.enter_async_context(self._processes)
            await stack.enter_async_context(self._instances)
            await until_available(self._store.install, "the start")
            await self._prepare()
            self._sessions = [commits.session_id for commits in (*lanes, rescues, grants, *upkeep)]
            await until_available(self._register, "the start")
            committer = Committer(*lanes)
            hand_off = HandOff(
                self.name, self._queues, self._clock, self._settings.lease, self._may_go_on, self.gates
            )
            rescuer = Rescuer(self._store, rescues, self._settings.lease, self._wake)
            if not self._turns.peers.sole:
                rescuer.arm_for_unheard()
            admitter = Admitter(
                committer,
                self._hosted,
                self._store.vault,
                alone=self._surely_alone,
                begun=rescuer.arm_for_lease,
            )
            self._upkeep = Upkeep(
                self._store,
                self._settings,
                self.name,
                upkeep,
                backlog=self._backlog,
                wake=self._wake,
                timed=rescuer.arm_for_deadlines,
            )
            self._intake = self._make_intake(admitter, hand_off, self._store.permits(grants))
            async with anyio.create_task_group() as group:
                group.start_soon(committer.run)
                try:
                    await self._work(committer, hand_off, rescuer, task_status)
                finally:
                    committer.stop()
            await self._leave()

    async def _prepare(self) -> None:
        """Prepare the stages that are claimed here; a stop meanwhile ends it, and nothing is claimed then."""
        with self._preparing:
            await self._instances.prepare(
                stage
                for each in self._hosted
                for stage in each.stages
                if queue_name(each.name, each.version, stage.name) in self._queues
            )

    async def _work(
        self, committer: Committer, hand_off: HandOff, rescuer: Rescuer, status: TaskStatus[None]
    ) -> None:
        async with anyio.create_task_group() as background:
            listener, wakeups = self._hear(rescuer)
            self._listener = listener
            background.start_soon(self._give_up_when_cancelled, committer)
            background.start_soon(self._leases.run)
            background.start_soon(rescuer.run)
            background.start_soon(self._upkeep.run)
            background.start_soon(self._sign_of_life, listener, rescuer)
            background.start_soon(self._reconcile, listener, wakeups)
            background.start_soon(self._take_turns)
            background.start_soon(self.gates.limits.run, self._wake)
            background.start_soon(self._outages.run, self._wake)
            background.start_soon(self._settlements.run)
            if self._settings.listen:
                background.start_soon(listener.run)
            status.started()
            await self._attempts(committer, hand_off)
            with suppress(StoreUnavailable), anyio.move_on_after(2):
                await self._upkeep.batches.finish()
                await self._outages.settle()
            with anyio.move_on_after(2):
                await self._settlements.finish()
            if self._settings.listen:
                with suppress(StoreUnavailable), anyio.move_on_after(2):
                    await listener.finish()
            background.cancel_scope.cancel()

    def _hear(self, rescuer: Rescuer) -> tuple[Listener, Wakeups]:
        wakeups = Wakeups(
            changes=self._store.changes,
            meet_peers=self._meet_peers,
            backlog=self._backlog,
            leases=self._leases,
            rescuer=rescuer,
            upkeep=self._upkeep,
            turns=self._turns,
            gates=self.gates,
            controls=self._store.controls,
            ponds=self._store.ponds,
            limits=self._store.limits,
            wake=self._wake,
            hosted=self._hosted,
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

    def _make_intake(self, admitter: Admitter, hand_off: HandOff, permits: Permits) -> Intake:
        rationing = Rationing(
            tasks=self._tasks,
            ponds=self._store.ponds,
            permits=permits,
            refills=self._store.refills,
            gates=self.gates,
            hosted=self._hosted,
            worker=self.name,
            lease_for=self._settings.lease,
        )
        return Intake(
            tasks=self._tasks,
            backlog=self._backlog,
            rationing=rationing,
            fairness=Fairness(self._store.tenants, self._backlog),
            admitter=admitter,
            turns=self._turns,
            gates=self.gates,
            outages=self._outages,
            hold=hand_off.hold,
            timed=self._upkeep.deadlines.require,
            hosted=self._hosted,
            worker=self.name,
            lease_for=self._settings.lease,
        )

    def _wake(self, **hints: Any) -> None:
        """There may be work, see `Intake.hint`."""
        self._intake.hint(**hints)
        self._claimer.wake()

    def _may_go_on(self, task: Task) -> bool:
        if self._claimer.stopped:
            return False
        return self._claimer.has_free or self._intake.may_go_on(task)

    def _surely_alone(self) -> bool:
        """Tell whether there is no other worker, as is known only while the change stream is well."""
        return self._turns.peers.sole and self._listener.healthy

    async def _take_turns(self) -> None:
        """Begin what others should have begun, and have not."""
        asked_at = float("-inf")
        while True:
            self._wake(priority=await self._turns.next())
            if anyio.current_time() - asked_at > PEERS_AGE:
                asked_at = anyio.current_time()
                with suppress(StoreUnavailable):
                    await self._meet_peers()

    def _freed(self, task: Task) -> None:
        """An attempt has ended; if a limit was full above it, for any worker, there may be work now."""
        limits, pipeline = self.gates.limits, self._hosted[task.pipeline, task.pipeline_version]
        if limits.any_waits and limits.free(limits.of_task(pipeline[task.stage], task, pipeline)):
            self._wake()

    async def _attempts(self, committer: Committer, hand_off: HandOff) -> None:
        """Claim and run until the soft stop, then wait for what runs, and interrupt it in the end."""
        desk = Desk(self._store, committer, self._leases, self._settings.lease, self.gates.services)
        limits = TimeLimits()
        executors = {
            (each.name, each.version): Executor(
                desk, each, self._processes, self._threads, self._instances, limits
            )
            for each in self._hosted
        }
        runner = Runner(
            self.name,
            executors,
            committer=committer,
            leases=self._leases,
            threads=self._threads,
            hand_off=hand_off,
            alone=self._claimer.alone,
            freed=self._freed,
            told=self._outages.ended,
            touch=self._upkeep.batches.touch,
            spent=self._settlements.note,
        )
        async with anyio.create_task_group() as stopping:
            async with anyio.create_task_group() as attempts:
                stopping.start_soon(self._stop_in_time, committer, attempts.cancel_scope)
                await self._claimer.run(attempts, self._intake.take, runner.run)
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
            sent = time.monotonic()
            try:
                seen_at = await self._store.workers.seen(
                    self.name, self._settings.lease, listening=listener.healthy
                )
            except StoreUnavailable:
                rescuer.database_away()
            else:
                rescuer.database_back()
                if seen_at is None:  # taken for dead, and forgotten
                    await until_available(self._register, "the registration")
                else:
                    self._clock.sample(seen_at, sent)

    async def _reconcile(self, listener: Listener, wakeups: Wakeups) -> None:
        """The net below the change stream: rare while it is well, every two seconds while it is not."""
        mean = self._settings.reconciliation.total_seconds()
        due = anyio.current_time() + mean * random.uniform(0.5, 1.5)  # noqa: S311 -- jitter, no secret
        while True:
            await anyio.sleep(UNHEARD_RECONCILIATION)
            if listener.healthy and anyio.current_time() < due:
                continue
            with suppress(StoreUnavailable):
                await wakeups.reconcile(None)
                if not self._settings.listen:
                    self._upkeep.deadlines.look()
                await self._store.documents.sweep(UPLOAD_GRACE)
                await self._store.workers.forget(DEAD_FOR)
            due = anyio.current_time() + mean * random.uniform(0.5, 1.5)  # noqa: S311

    async def _register(self) -> None:
        # One of this name that was killed may have left locks behind; its record goes now.
        await self._store.workers.end_sessions(self.name)
        sent = time.monotonic()
        seen_at = await self._store.workers.register(
            self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._queues,
            slots=self._settings.slots,
            sessions=self._sessions,
            alive_for=self._settings.lease,
        )
        self._clock.sample(seen_at, sent)
        await self.gates.read(self._store.controls, self._store.ponds, self._store.limits)
        await self._meet_peers()
        await self._store.pipelines.register(self._hosted)
        await self._store.strays.unmark((each.name, each.version) for each in self._hosted)

    async def _meet_peers(self) -> None:
        registered = await self._store.workers.registered()
        self._turns.peers.replace(registered, drained=self.gates.drained_workers)

    async def _leave(self) -> None:
        with suppress(StoreUnavailable), anyio.move_on_after(2):
            await self._store.workers.deregister(self.name)
