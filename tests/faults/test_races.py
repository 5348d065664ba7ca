"""Cancelling while a commit is under way, and racing what ends the job: one final state, nothing after it."""

import os
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.embedded import Embedded, embedded_mongod
from pipeline.errors import StateConflict
from pipeline.model import job_of, new_job_id
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.submission import job_document
from tests.faults.held_commits import HeldCommits
from tests.faults.history import recorded, state_of
from tests.records import admitted, violations
from tests.support import Count, Text, pipeline_of, running

LONG = os.environ.get("MILLRACE_TEST_LONG") == "1"
ROUNDS = 1_000 if LONG else 150
SEED = int(os.environ.get("MILLRACE_TEST_SEED", "20"))
BY_EVENT = WorkerSettings(lease=timedelta(hours=1), slots=16)
"""No renewal notices that a lease is gone: only the event of the cancelled task can stop its attempt."""
QUIET = WorkerSettings(lease=timedelta(hours=1), listen=False)
"""Nothing is committed but what attempts commit."""


@dataclass
class Steps:
    """A stage that goes on when it is told to."""

    entered: anyio.Event = field(default_factory=anyio.Event)
    go: anyio.Event = field(default_factory=anyio.Event)
    saves: bool = False

    def pipeline(self, *, last: bool) -> Pipeline:
        @stage(name="steps")
        async def steps(document: Document, context: StageContext) -> Text:
            self.entered.set()
            await self.go.wait()
            if self.saves:
                await context.checkpoint("part", self.part, str)
                await anyio.sleep_forever()
            return Text(text="a b")

        @stage(name="count")
        async def count(text: Text, context: StageContext) -> Count:
            await anyio.sleep_forever()  # it may have begun before the job was cancelled
            return Count(words=0)

        return pipeline_of(steps) if last else pipeline_of(steps, count)

    async def part(self) -> str:
        return "saved"


@pytest.fixture(scope="module")
def own_mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    starting = embedded_mongod(tmp_path_factory.mktemp("races"), parameters={"enableTestCommands": "1"})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(starting) as mongod:
        yield mongod


@pytest.fixture
async def holding(own_mongod: Embedded) -> AsyncIterator[Store]:
    """A store whose server can hold up commits."""
    async with Store(StoreSettings(mongodb_uri=SecretStr(own_mongod.uri), database="races")) as store:
        await store.install()
        yield store
        await store.db.client.drop_database(store.db.name)


@dataclass
class Cancelling:
    """What people heard when they cancelled."""

    refused: bool | None = None

    async def run(self, store: Store, job: str) -> None:
        try:
            await Client(store).cancel(job)
            self.refused = False
        except StateConflict:
            self.refused = True


@pytest.mark.parametrize("write", ["checkpoint", "hand-off", "end"])
async def test_what_was_written_before_the_cancellation_stays(holding: Store, write: str) -> None:
    """The worker's commit is under way: the cancellation waits for it, and then finds what is so."""
    steps, cancelling = Steps(saves=write == "checkpoint"), Cancelling()
    pipeline = steps.pipeline(last=write != "hand-off")
    async with recorded(holding) as history:
        [job] = await admitted(holding, pipeline=pipeline)
        async with running(holding, pipeline, QUIET):
            with anyio.fail_after(60):
                await steps.entered.wait()
                async with anyio.create_task_group() as group, HeldCommits(holding) as commits:
                    steps.go.set()
                    await commits.first()
                    group.start_soon(cancelling.run, holding, job)
                    await commits.second()
    assert cancelling.refused == (write == "end")
    history.check(job, "succeeded" if write == "end" else "cancelled")
    assert await holding.db["checkpoints"].count_documents({}) == (write == "checkpoint")
    assert await holding.db["outputs"].count_documents({}) == (write != "checkpoint")
    assert await violations(holding) == {}


@pytest.mark.parametrize("write", ["checkpoint", "hand-off", "end"])
async def test_what_comes_after_the_cancellation_is_lost(holding: Store, write: str) -> None:
    """The cancellation is under way: the worker's commit waits for it, and then finds its lease lost."""
    steps, cancelling = Steps(saves=write == "checkpoint"), Cancelling()
    pipeline = steps.pipeline(last=write != "hand-off")
    async with recorded(holding) as history:
        [job] = await admitted(holding, pipeline=pipeline)
        async with running(holding, pipeline, QUIET):
            with anyio.fail_after(60):
                await steps.entered.wait()
                async with anyio.create_task_group() as group, HeldCommits(holding) as commits:
                    group.start_soon(cancelling.run, holding, job)
                    await commits.first()
                    steps.go.set()
                    await commits.second()
    assert cancelling.refused is False
    history.check(job, "cancelled")
    assert await holding.db["checkpoints"].count_documents({}) == 0
    assert await holding.db["outputs"].count_documents({}) == 0
    assert await violations(holding) == {}


@stage(name="first")
async def saves(document: Document, context: StageContext) -> Text:
    async def part() -> str:
        return "a b"

    return Text(text=await context.checkpoint("part", part, str))


@stage(name="second")
async def counts(text: Text, context: StageContext) -> Count:
    async def part() -> int:
        return len(text.text.split())

    return Count(words=await context.checkpoint("part", part, int))


SAVING = Pipeline("saving", [saves, counts])
MOST_CHANGES = 16
"""Of a job that runs to its end, with everything that is its, there are 15."""


async def cancel_in_time(store: Store, moments: dict[str, int]) -> dict[str, Cancelling]:
    """Submit jobs, and cancel each as soon as so many changes of what is its have been told."""
    cancellings = {job: Cancelling() for job in moments}
    told = dict.fromkeys(moments, 0)
    async with await store.db.watch() as changes, anyio.create_task_group() as group:
        await store.db["jobs"].insert_many(
            [job_document("saving", name="a", content=b"a") | {"_id": job} for job in moments]
        )
        left = set(moments)
        while left:
            change = await changes.next()
            job = job_of(str(change["documentKey"]["_id"]))
            if job not in moments:
                continue
            told[job] += 1
            if told[job] == moments[job]:
                group.start_soon(cancellings[job].run, store, job)
            if change["ns"]["coll"] == "jobs" and state_of(change) in ("succeeded", "cancelled"):
                left.discard(job)
    return cancellings


@pytest.mark.timeout(3600 if LONG else 120)
async def test_cancelling_races_completion_at_every_moment(store: Store) -> None:
    chance = random.Random(SEED)
    moments = {new_job_id(): chance.randint(1, MOST_CHANGES) for _ in range(ROUNDS)}
    async with recorded(store) as history:
        async with running(store, SAVING, BY_EVENT):
            cancellings = await cancel_in_time(store, moments)
        assert await violations(store) == {}
    finals = {job: "cancelled" if each.refused is False else "succeeded" for job, each in cancellings.items()}
    for job, final in finals.items():
        history.check(job, final)
    assert set(finals.values()) == {"cancelled", "succeeded"}
    assert {each.refused for each in cancellings.values()} >= {True, False}
