"""A worker that is alone tells nobody what it begins; whoever comes later still finds what it left behind."""

from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import pytest

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.operator import Operator
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import WORK
from pipeline.worker import Worker
from tests.records import IDLE, claimed, violations
from tests.support import Text, running, submit, until

LEASE = timedelta(seconds=2)
NEVER = timedelta(days=1)
TAKEN = {"lease.claim_id": "another's", "lease.worker": "killed"}
"""A task whose holder is gone. No listener hears of it: no state has changed."""


@dataclass
class Waiting:
    """A stage that waits at its first attempt."""

    begun: anyio.Event = field(default_factory=anyio.Event)
    attempts: int = 0

    def pipeline(self, timeout: timedelta | None = None) -> Pipeline:
        @stage(name="waiting")
        async def waiting(document: Document, context: StageContext) -> Text:
            self.attempts += 1
            if self.attempts == 1:
                self.begun.set()
                await anyio.sleep_forever()
            return Text(text="")

        return Pipeline("test", [waiting], timeout=timeout)


async def listening(store: Store, worker: Worker) -> None:
    """Wait until a worker hears what happens."""
    subject, operator = "stage:test/waiting", Operator(store)
    await operator.pause(subject)
    await worker.gates.known(subject, closed=True)
    await operator.resume(subject)
    await worker.gates.known(subject, closed=False)


async def told_of(store: Store, waiting: Waiting) -> list[str]:
    """Return the states of jobs and tasks of which the others hear when a job begins."""
    told: list[str] = []
    async with store.changes.open(WORK) as stream:
        await submit(Client(store), "test")
        with anyio.fail_after(30):
            await waiting.begun.wait()
            await store.controls.pause("worker:nobody", "an event behind all of these")
            while (event := await stream.read()) is None or event.collection != "controls":
                if event is not None and event.operation == "update":
                    told.append(f"{event.collection} {event.fields['state']}")
    return told


async def test_nobody_is_told_what_a_worker_begins_that_is_alone(store: Store) -> None:
    waiting = Waiting()
    async with running(store, waiting.pipeline()) as worker:
        await listening(store, worker)
        assert await told_of(store, waiting) == []


async def test_of_a_time_limit_everybody_is_told_who_may_come(store: Store) -> None:
    waiting = Waiting()
    async with running(store, waiting.pipeline(timeout=NEVER)) as worker:
        await listening(store, worker)
        assert await told_of(store, waiting) == ["jobs running"]


@pytest.mark.parametrize("drained", [False, True])
async def test_others_are_told(store: Store, drained: bool) -> None:
    waiting = Waiting()
    async with running(store, waiting.pipeline()) as worker, running(store, waiting.pipeline()) as other:
        for each in (worker, other):
            await listening(store, each)
        if drained:
            await Operator(store).pause(f"worker:{other.name}")
            await worker.gates.known(f"worker:{other.name}", closed=True)
        assert await told_of(store, waiting) == ["jobs running"]


async def test_one_that_was_silent_when_this_worker_came_may_be_back(store: Store) -> None:
    await store.workers.register("silent", **{**IDLE, "alive_for": timedelta(0)})
    waiting = Waiting()
    async with running(store, waiting.pipeline()) as worker:
        await listening(store, worker)
        assert await told_of(store, waiting) == ["jobs running"]


async def test_a_worker_that_does_not_listen_may_not_be_alone(store: Store) -> None:
    waiting = Waiting()
    async with running(store, waiting.pipeline(), WorkerSettings(listen=False)):
        assert await told_of(store, waiting) == ["jobs running"]


async def test_a_worker_that_is_alone_rescues_what_it_began_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.rescuer.HEARD_WITHIN", NEVER)
    waiting = Waiting()
    async with running(store, waiting.pipeline(), WorkerSettings(lease=LEASE)) as worker:
        await listening(store, worker)
        job = await submit(Client(store), "test")
        with anyio.fail_after(30):
            await waiting.begun.wait()
        await store.db["tasks"].update_one({"job": job.id}, {"$set": TAKEN})
        assert (await until(store, job.id)).state == "succeeded"
    assert waiting.attempts == 2
    assert await violations(store) == {}


async def test_what_one_began_that_had_not_heard_of_this_worker_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.rescuer.HEARD_WITHIN", LEASE)
    waiting = Waiting(attempts=1)
    await store.workers.register("killed", **IDLE)
    [task] = await claimed(store, worker="killed", lease_for=timedelta(0), pipeline=waiting.pipeline())
    left = {name: await store.db[name].find_one_and_delete({}) for name in ("jobs", "tasks")}
    async with running(store, waiting.pipeline(), WorkerSettings(lease=LEASE)) as worker:
        await listening(store, worker)  # and has looked for what there was when it came
        for name, document in left.items():
            assert document is not None
            await store.db[name].insert_one(document)
        assert (await until(store, task.job)).state == "succeeded"
    assert await violations(store) == {}
