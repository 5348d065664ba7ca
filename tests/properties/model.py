"""What must be in the database: jobs and tasks in memory, changed by the promises alone.

Every verb says what must become of it: None when it is accepted, else the error's type.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import LeaseLost, MillraceError, NotFound, StateConflict
from pipeline.model import Change, Task, task_id
from tests.properties.chain import CHAIN, HOLDS, STAGES

Verdict = type[MillraceError] | None
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class JobModel:
    id: str
    priority: int
    run_at: int | None
    """Seconds by the model's clock, as all times here."""
    deadline: int | None
    state: str = "submitted"
    stamp: str = ""
    """The last change that wrote this document and left its stamp."""


@dataclass
class TaskModel:
    job: JobModel
    stage: str
    revision: int
    run_at: int
    state: str = "ready"
    attempt: int = 0
    deaths: int = 0
    fence: int = 0
    claim: str | None = None
    worker: str | None = None
    until: int | None = None
    """When the lease ends, or the delay."""
    stamp: str = ""

    @property
    def id(self) -> str:
        return task_id(self.job.id, self.stage, self.revision)

    @property
    def max_attempts(self) -> int:
        return CHAIN[self.stage].retry.max_attempts

    @property
    def open(self) -> bool:
        return self.state in ("ready", "running")

    @property
    def alone(self) -> bool:
        """The next attempt is the last, after a death."""
        return self.deaths > 0 and self.attempt + 1 >= self.max_attempts

    def leave(self, state: str) -> None:
        """Leave `running`: the lease is over."""
        self.state, self.claim, self.worker, self.until = state, None, None, None


@dataclass
class Model:
    now: int = 0
    jobs: dict[str, JobModel] = field(default_factory=dict)
    tasks: dict[str, TaskModel] = field(default_factory=dict)
    saved: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Checkpoints and outputs, which never change: what they hold, and the change that made them."""

    def copied(self) -> "Model":
        return deepcopy(self)

    def holds(self, task: Task) -> bool:
        now = self.tasks[task.id]
        return (now.state, now.claim, now.fence) == ("running", task.lease.claim_id, task.lease.fence)

    def expired(self) -> set[str]:
        return {
            each.id
            for each in self.tasks.values()
            if each.state == "running" and each.until is not None and each.until <= self.now
        }

    def claimable(self, stages: Sequence[str]) -> list[TaskModel]:
        ready = (each for each in self.tasks.values() if each.state == "ready" and each.stage in stages)
        return [each for each in ready if each.run_at <= self.now]

    def of_job(self, job: str) -> list[TaskModel]:
        """The tasks of a job in the order of their making."""
        return [each for each in self.tasks.values() if each.job.id == job]

    def made(self, change: Change) -> bool:
        """Tell whether a change can be seen to be durable: what it created bears its stamp, or, when it
        created nothing, what it guarded; until another change writes that.
        """
        written = {str(change.guard.filter["_id"])} | {str(each["_id"]) for _, each in change.creates}
        stamps = {key: job.stamp for key, job in self.jobs.items()}
        stamps |= {key: task.stamp for key, task in self.tasks.items()}
        makers = [maker for key, (_, maker) in self.saved.items() if key in written]
        return change.id in makers + [stamps.get(key) for key in written]

    def claim(self, task: Task) -> None:
        taken = self.tasks[task.id]
        taken.state, taken.attempt, taken.fence = "running", taken.attempt + 1, taken.fence + 1
        taken.claim, taken.worker, taken.until = task.lease.claim_id, task.lease.worker, self.now + HOLDS

    def admit(self, job: str, change: str) -> Verdict:
        found = self.jobs[job]
        if found.state != "submitted":
            return LeaseLost
        found.state, found.stamp = "running", f"batch of {change}"
        self._new_task(found, STAGES[0], 1, found.run_at, change)
        return None

    def complete(self, task: Task, body: Any, change: str) -> Verdict:
        now = self.tasks[task.id]
        now.leave("succeeded")
        now.stamp = f"batch of {change}"
        self.saved[now.id] = body, change
        position = STAGES.index(now.stage) + 1
        if position == len(STAGES):
            now.job.state, now.job.stamp = "succeeded", now.stamp
        else:
            self._new_task(now.job, STAGES[position], now.revision, None, change)
        return None

    def fail(self, task: Task, change: str) -> Verdict:
        now = self.tasks[task.id]
        now.leave("failed")
        now.stamp = now.job.stamp = change
        now.job.state = "failed"
        return None

    def give_back(self, task: Task, delay: int, *, charged: bool, change: str) -> Verdict:
        now = self.tasks[task.id]
        now.leave("ready")
        now.stamp, now.run_at = change, self.now + delay
        now.until = now.run_at if delay else None
        now.attempt -= not charged
        return None

    def checkpoint(self, task: Task, key: str, value: Any, change: str) -> Verdict:
        now, saved = self.tasks[task.id], f"{task.id}/{key}"
        if saved in self.saved:
            return StateConflict
        self.saved[saved] = value, change
        now.until, now.stamp = self.now + HOLDS, f"batch of {change}"
        return None

    def renew(self, tasks: Sequence[Task]) -> set[str]:
        """Renew what is held; returns the ids of the others."""
        for task in tasks:
            if self.holds(task):
                self.tasks[task.id].until = self.now + HOLDS
        return {task.id for task in tasks if not self.holds(task)}

    def rescue(self, task: str, claim: str, *, expired: bool = True) -> bool:
        now = self.tasks[task]
        if now.state != "running" or now.claim != claim or (expired and now.id not in self.expired()):
            return False
        last = now.attempt >= now.max_attempts
        now.leave("failed" if last else "ready")
        now.stamp = f"a rescue from {claim}"
        if last:
            now.job.state, now.job.stamp = "failed", now.stamp
        else:
            now.run_at, now.deaths = self.now, now.deaths + 1
        return True

    def cancel(self, job: str) -> Verdict:
        found = self.jobs[job]
        if found.state in ENDED:
            return StateConflict
        return self._end(found, "cancelled")

    def expire(self, job: str, task: str | None, change: str) -> Verdict:
        """End a job that is overdue, and its open task, of which whoever asks may have an old notion."""
        found = self.jobs[job]
        expected = "submitted" if task is None else "running"
        if found.state != expected or found.deadline is None or found.deadline > self.now:
            return LeaseLost
        if task is not None and not self.tasks[task].open:
            return StateConflict
        found.stamp = change
        for each in self.of_job(job):
            each.stamp = change if each.open else each.stamp
        return self._end(found, "failed")

    def retry(self, job: str) -> Verdict:
        found = self.jobs[job]
        failed = [each for each in self.of_job(job) if each.state == "failed"]
        if found.state != "failed" or not failed:
            return StateConflict
        again = max(failed, key=lambda each: each.revision)
        again.state, again.attempt, again.deaths, again.run_at = "ready", 0, 0, self.now
        found.state, found.deadline = "running", None
        return None

    def rerun(self, job: str, stage: str) -> Verdict:
        found, tasks = self.jobs[job], self.of_job(job)
        newest = {each.stage: each for each in sorted(tasks, key=lambda each: each.revision)}
        before = [newest[name] for name in STAGES[: STAGES.index(stage)] if name in newest]
        revisions = [each.revision for each in before]
        whole = len(before) == STAGES.index(stage) and revisions == sorted(revisions)
        if found.state not in ENDED or not tasks or not whole:
            return StateConflict
        if any(each.state != "succeeded" for each in before):
            return StateConflict
        found.state, found.deadline = "running", None
        self._new_task(found, stage, 1 + max(each.revision for each in tasks), None, "")
        return None

    def unknown(self) -> Verdict:
        """Whatever is asked of a job by somebody whose job it is not."""
        return NotFound

    def _new_task(self, job: JobModel, stage: str, revision: int, run_at: int | None, change: str) -> None:
        due_at = self.now if run_at is None else run_at
        task = TaskModel(job, stage, revision, due_at, until=run_at, stamp=change)
        self.tasks[task.id] = task

    def _end(self, job: JobModel, state: str) -> Verdict:
        job.state = state
        for each in self.of_job(job.id):
            if each.open:
                each.leave(state)
        return None
