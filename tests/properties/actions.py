"""One step each: what is done to the engine, and what must come of it by the model."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import anyio

from pipeline import transitions
from pipeline.errors import MillraceError
from pipeline.model import DEFAULT_TENANT, Change, Failure, Task
from pipeline.rerun import Asked
from pipeline.rescuer import release_worker, rescue
from pipeline.store.tasks import Tasks
from pipeline.submission import job_document
from tests.properties.chain import CHAIN, LEASE, queues
from tests.properties.changes import Entry
from tests.properties.model import JobModel, Model, Verdict
from tests.properties.world import Doc, World


def told(answer: Any) -> str:
    """Return an answer in few words."""
    if isinstance(answer, list):
        return f"[{', '.join(told(each) for each in answer)}]"
    if isinstance(answer, Task):
        return f"{answer.id}, claim {answer.lease.fence}, attempt {answer.attempt}"
    if isinstance(answer, Change):
        return "done"
    if isinstance(answer, dict):
        return str(answer["_id"])
    return type(answer).__name__ if isinstance(answer, MillraceError) else str(answer)


class Action(Protocol):
    async def perform(self, world: World) -> Any:
        """Do it; returns what the engine answered."""
        ...

    def check(self, model: Model, answer: Any, *, raced: bool = False) -> None:
        """Compare the answer with the model's, and bring that up to date; `raced`: another ran beside it."""
        ...


@dataclass
class Submit:
    priority: int
    run_in: int | None
    deadline_in: int | None

    async def perform(self, world: World) -> Doc:
        run_at, deadline = (
            None if seconds is None else world.began + timedelta(seconds=world.advanced + seconds)
            for seconds in (self.run_in, self.deadline_in)
        )
        job = job_document(
            CHAIN.name, name="a", content=b"a", priority=self.priority, run_at=run_at, deadline=deadline
        )
        return (await world.store.jobs.insert(job))[0]

    def check(self, model: Model, answer: Doc, *, raced: bool = False) -> None:
        run_at, deadline = (
            None if seconds is None else model.now + seconds for seconds in (self.run_in, self.deadline_in)
        )
        model.jobs[answer["_id"]] = JobModel(answer["_id"], self.priority, run_at, deadline)


@dataclass
class Claim:
    worker: str
    stages: tuple[str, ...]
    limit: int

    def __str__(self) -> str:
        return f"{self.worker} claims {self.limit} of {' '.join(self.stages)}"

    async def perform(self, world: World) -> list[Task]:
        # Of a claimer that has lost no race yet: one that has takes what it gets, not the best.
        return await Tasks(world.store.db).claim(queues(self.stages), self.limit, self.worker, LEASE)

    def check(self, model: Model, answer: list[Task], *, raced: bool = False) -> None:
        possible = {each.id: each for each in model.claimable(self.stages)}
        assert len({task.id for task in answer}) == len(answer) <= self.limit
        assert {task.id for task in answer} <= set(possible)
        for task in answer:
            now = possible[task.id]
            assert (task.attempt, task.lease.fence) == (now.attempt + 1, now.fence + 1)
            assert task.attempt <= task.max_attempts == now.max_attempts
            assert task.alone == now.alone
        left = [
            each.job.priority for each in possible.values() if each.id not in {task.id for task in answer}
        ]
        if any(each.alone for each in possible.values()):
            assert answer, "something was there to claim"
        elif not raced:
            assert len(answer) == min(self.limit, len(possible))
        if not raced and answer:
            assert min(task.priority for task in answer) >= max(left, default=-10)
            assert len(answer) == 1 or not any(possible[task.id].alone for task in answer)
        for task in answer:
            model.claim(task)


@dataclass
class Renew:
    tasks: Sequence[Task]

    def __str__(self) -> str:
        return f"renew {', '.join(f'{task.id} of claim {task.lease.fence}' for task in self.tasks)}"

    async def perform(self, world: World) -> set[str]:
        return set(await world.store.tasks.renew([(task.id, task.lease, None) for task in self.tasks], LEASE))

    def check(self, model: Model, answer: set[str], *, raced: bool = False) -> None:
        assert answer == model.renew(self.tasks)


@dataclass
class Commit:
    """A group commit, by one of the workers."""

    entries: Sequence[Entry]
    by: int

    def __str__(self) -> str:
        return f"worker {self.by} commits: {', '.join(str(each) for each in self.entries)}"

    async def perform(self, world: World) -> list[MillraceError | None]:
        changes = [await each.prepared(world) for each in self.entries]
        return await world.commits[self.by].commit(changes)

    def check(self, model: Model, answer: list[MillraceError | None], *, raced: bool = False) -> None:
        expected = [each.expected(model) for each in self.entries]
        assert [None if each is None else type(each) for each in answer] == expected


@dataclass
class Rescue:
    """Of a task as it was when somebody saw it running, however long ago."""

    seen: Doc
    by: int

    def __str__(self) -> str:
        return f"worker {self.by} rescues {self.seen['_id']} of claim {self.seen['lease']['fence']}"

    async def perform(self, world: World) -> bool:
        return await rescue(world.commits[self.by], self.seen, "is gone", expired=True)

    def check(self, model: Model, answer: bool, *, raced: bool = False) -> None:
        assert answer == model.rescue(self.seen["_id"], self.seen["lease"]["claim_id"])


@dataclass
class Release:
    """A supervisor has reaped this worker."""

    worker: str

    async def perform(self, world: World) -> int:
        return await release_worker(world.store, self.worker)

    def check(self, model: Model, answer: int, *, raced: bool = False) -> None:
        held = [each for each in model.tasks.values() if each.worker == self.worker and each.claim]
        assert answer == len(held)
        for each in held:
            assert model.rescue(each.id, each.claim or "", expired=False)


@dataclass
class Expire:
    """End a job that was seen to be overdue with this task open."""

    job: str
    task: str | None
    by: int

    async def perform(self, world: World) -> Change | MillraceError:
        change = transitions.expire(self.job, self.task, Failure("DeadlineExceeded", "planned"))
        [refusal] = await world.commits[self.by].commit([change])
        return refusal or change

    def check(self, model: Model, answer: Change | MillraceError, *, raced: bool = False) -> None:
        done = isinstance(answer, Change)
        expected = model.expire(self.job, self.task, answer.id if isinstance(answer, Change) else "")
        assert (None if done else type(answer)) == expected


@dataclass
class Ask:
    """What people ask of a job: `cancel`, `retry` or `rerun` from a stage."""

    verb: str
    job: str
    stage: str | None = None
    tenant: str = DEFAULT_TENANT

    async def perform(self, world: World) -> Verdict:
        jobs, reruns = world.store.jobs, world.store.reruns
        verbs: Mapping[str, Callable[[], Awaitable[None]]] = {
            "cancel": lambda: jobs.cancel(self.job, self.tenant),
            "retry": lambda: jobs.retry(self.job, self.tenant),
            "rerun": lambda: reruns.rerun(self.job, self.tenant, Asked(self.stage or "", anew="first")),
        }
        try:
            await verbs[self.verb]()
        except MillraceError as error:
            return type(error)
        return None

    def check(self, model: Model, answer: Verdict, *, raced: bool = False) -> None:
        if self.tenant != DEFAULT_TENANT:
            expected = model.unknown()
        elif self.verb == "rerun":
            expected = model.rerun(self.job, self.stage or "")
        else:
            expected = {"cancel": model.cancel, "retry": model.retry}[self.verb](self.job)
        assert answer == expected


@dataclass
class Race:
    """Two at the same time: the answers must be those of one after the other, in either order."""

    first: Action
    second: Action

    async def perform(self, world: World) -> tuple[Any, Any]:
        answers: dict[int, Any] = {}

        async def one(number: int, action: Action) -> None:
            answers[number] = await action.perform(world)

        async with anyio.create_task_group() as group:
            group.start_soon(one, 1, self.first)
            group.start_soon(one, 2, self.second)
        return answers[1], answers[2]

    def outcomes(self, model: Model, answer: tuple[Any, Any]) -> list[Model]:
        """Return what may be in the database now: what each order that explains the answers leads to."""
        possible = []
        for order in ((0, 1), (1, 0)):
            copied = model.copied()
            try:
                for number in order:
                    (self.first, self.second)[number].check(copied, answer[number], raced=True)
            except AssertionError:
                continue
            possible.append(copied)
        return possible
