"""Outcomes as changes for a group commit, and what must become of each by the model."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pipeline import Progress, transitions
from pipeline.errors import LeaseLost, TemporaryError
from pipeline.executor import failed
from pipeline.model import Change, Failure, Task
from tests.properties.chain import CHAIN, LEASE
from tests.properties.model import Model, Verdict
from tests.properties.world import Doc, World
from tests.records import completion, submitted

Move = Literal["complete", "fail", "temporary", "put off", "snooze", "interrupt", "save a", "save b", "admit"]
DELAYS = {"temporary": 50, "put off": 350, "snooze": 150, "interrupt": 0}
"""Seconds until a task that is given back so is due."""


@dataclass
class Entry:
    """One change of a group commit; it is made once, so that the very same can be committed again."""

    move: Move
    subject: Task | Doc
    """A claimed task; for `admit` a job."""
    change: Change | None = None

    def __str__(self) -> str:
        if isinstance(self.subject, Task):
            return f"{self.move} {self.subject.id} of claim {self.subject.lease.fence}"
        return f"{self.move} {self.subject['_id']}"

    async def prepared(self, world: World) -> Change:
        if self.change is None:
            if isinstance(self.subject, Task):
                self.change = await _outcome(world, self.subject, self.move)
            else:
                self.change = transitions.admit(submitted(self.subject), CHAIN, None)
        return self.change

    def expected(self, model: Model) -> Verdict:
        """Bring the model up to date; returns what the commit must say."""
        assert self.change is not None
        if model.made(self.change):
            return None
        if not isinstance(self.subject, Task):
            return model.admit(self.subject["_id"], self.change.id)
        if not model.holds(self.subject):
            return LeaseLost
        return _expected(model, self.subject, self.move, self.change.id)


async def _outcome(world: World, task: Task, move: Move) -> Change:
    failure = Failure("ValueError", "planned")
    match move:
        case "complete":
            return await completion(world.store, task, {"number": task.lease.fence}, pipeline=CHAIN)
        case "fail":
            return transitions.fail(task, failure)
        case "temporary" | "put off":
            error = TemporaryError("planned", retry_after=timedelta(seconds=DELAYS[move]))
            outcome = failed(task, CHAIN[task.stage].retry, error)
            if outcome.retry_in is None:
                return transitions.fail(task, outcome.failure)
            return transitions.retry(task, outcome.failure, outcome.retry_in)
        case "snooze":
            return transitions.snooze(task, timedelta(seconds=DELAYS[move]), "planned")
        case "interrupt":
            return transitions.interrupt(task)
        case "save a" | "save b":
            return transitions.checkpoint(task, move[-1], task.lease.fence, Progress(1, 2), LEASE)
    raise AssertionError(move)


def _expected(model: Model, task: Task, move: Move, change: str) -> Verdict:
    last = model.tasks[task.id].attempt >= model.tasks[task.id].max_attempts
    match move:
        case "complete":
            return model.complete(task, {"number": task.lease.fence}, change)
        case "save a" | "save b":
            return model.checkpoint(task, move[-1], task.lease.fence, change)
        case "temporary" | "put off" if not last:
            return model.give_back(task, DELAYS[move], charged=True, change=change)
        case "fail" | "temporary" | "put off":
            return model.fail(task, change)
    return model.give_back(task, DELAYS[move], charged=False, change=change)
