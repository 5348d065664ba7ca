"""Hand-off: the worker that has ended a stage goes on with the job, unless something else comes first."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
import pytest
from bson.timestamp import Timestamp

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.feed import Feed, Subscription
from pipeline.gates import Gates
from pipeline.handoff import HandOff
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import FEED, WORK, Event, OperationTime
from pipeline.store.clock import ServerClock
from tests.records import IDLE, violations
from tests.support import Count, Text, pipeline_of, running, submit, until

AT_ONCE = timedelta(milliseconds=1)
STAGES = ["first", "second", "third"]


@dataclass
class Course:
    """Three stages that note what they run; the first waits for documents that begin with "wait"."""

    ran: list[tuple[str, str]] = field(default_factory=list)
    entered: anyio.Event = field(default_factory=anyio.Event)
    leave: anyio.Event = field(default_factory=anyio.Event)

    @property
    def pipeline(self) -> Pipeline:
        @stage(name="first")
        async def first(document: Document, context: StageContext) -> Text:
            text = (await document.read()).decode()
            self.ran.append(("first", text))
            if text.startswith("wait"):
                self.entered.set()
                await self.leave.wait()
            return Text(text=text)

        @stage(name="second")
        async def second(text: Text, context: StageContext) -> Text:
            self.ran.append(("second", text.text))
            return text

        @stage(name="third")
        async def third(text: Text, context: StageContext) -> Count:
            self.ran.append(("third", text.text))
            return Count(words=len(text.text.split()))

        return pipeline_of(first, second, third)


async def history(store: Store, since: OperationTime, jobs: int) -> list[Event]:
    """Everything that has happened from then on until that many jobs had succeeded."""
    events: list[Event] = []
    with anyio.fail_after(30):
        async with store.changes.open(FEED, at=since, wait=AT_ONCE) as stream:
            while jobs:
                event = await stream.read()
                if event is not None:
                    events.append(event)
                    jobs -= event.collection == "jobs" and event.fields.get("state") == "succeeded"
    return events


def states(events: list[Event], stage: str) -> list[str]:
    """The states of a stage's tasks, in their order."""
    return [
        each.fields["state"]
        for each in events
        if each.collection == "tasks" and f":{stage}:" in each.id and "state" in each.fields
    ]


@asynccontextmanager
async def hearing(store: Store, pipeline: Pipeline, slots: int) -> AsyncIterator[Subscription]:
    """A worker, and what it has heard by its change stream."""
    feed = Feed(store.changes)
    async with running(store, pipeline, WorkerSettings(slots=slots), feed=feed):
        with anyio.fail_after(30):
            await feed.opened()
        with feed.subscribe("default") as heard:
            yield heard


async def heard_of(heard: Subscription, job: str) -> None:
    with anyio.fail_after(30):
        while job not in [event.id for event in await heard.receive()]:
            pass


async def tasks_of(store: Store, job: str) -> list[dict[str, Any]]:
    return await store.db["tasks"].find({"job": job}).sort("created_at", 1).to_list()


@pytest.fixture
def patient_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's time is known, however long a busy machine takes to ask for it."""
    monkeypatch.setattr("pipeline.store.clock.LONGEST_ROUND_TRIP", 60)


@pytest.mark.usefixtures("patient_clock")
async def test_a_worker_goes_on_with_what_it_has_begun(store: Store) -> None:
    course, since = Course(), await store.changes.now()
    async with running(store, course.pipeline):
        job = await submit(Client(store), "test", b"a b")
        assert (await until(store, job.id)).state == "succeeded"
    events = await history(store, since, 1)
    for each in STAGES:
        assert states(events, each) == ["running", "succeeded"]
    tasks = {each["stage"]: each for each in await tasks_of(store, job.id)}
    assert [(tasks[each]["attempt"], tasks[each]["lease"]["fence"]) for each in STAGES] == [(1, 1)] * 3
    claims = await store.db["outputs"].distinct("claim_id", {"job": job.id})
    assert len(claims) == 1
    assert await Client(store).output(job.id, "third") == {"words": 2}
    assert await violations(store) == {}


@pytest.mark.usefixtures("patient_clock")
async def test_a_stage_that_is_claimed_elsewhere_is_left_to_whoever_does(store: Store) -> None:
    course, since = Course(), await store.changes.now()
    pipeline = course.pipeline
    async with running(store, pipeline, stages=["first"]):
        async with running(store, pipeline, stages=["second", "third"]):
            job = await submit(Client(store), "test", b"a b")
            assert (await until(store, job.id)).state == "succeeded"
    events = await history(store, since, 1)
    assert states(events, "first") == ["running", "succeeded"]
    assert states(events, "second") == ["ready", "running", "succeeded"]
    assert states(events, "third") == ["running", "succeeded"]
    assert [each["attempt"] for each in await tasks_of(store, job.id)] == [1, 1, 1]


@pytest.mark.usefixtures("patient_clock")
@pytest.mark.parametrize(
    ("own", "others", "order"),
    [
        (0, [0], ["wait", "wait", "wait", "0", "0", "0"]),
        (0, [10], ["wait", "10", "10", "10", "wait", "wait"]),
        (0, [-1], ["wait", "wait", "wait", "-1", "-1", "-1"]),
        (-3, [0, -5], ["wait", "0", "0", "0", "wait", "wait", "-5", "-5", "-5"]),
    ],
    ids=["as high", "higher", "lower", "higher and lower"],
)
async def test_a_job_under_way_goes_before_all_but_those_of_a_higher_priority(
    store: Store, own: int, others: list[int], order: list[str]
) -> None:
    course, client = Course(), Client(store)
    async with hearing(store, course.pipeline, slots=1) as heard:
        jobs = [await submit(client, "test", b"wait", priority=own)]
        with anyio.fail_after(30):
            await course.entered.wait()
        for priority in others:
            jobs.append(await submit(client, "test", str(priority).encode(), priority=priority))
            await heard_of(heard, jobs[-1].id)
        course.leave.set()
        for job in jobs:
            assert (await until(store, job.id)).state == "succeeded"
    assert [text for _, text in course.ran] == order
    assert await violations(store) == {}


async def test_a_worker_that_stops_leaves_the_next_stage_to_others(store: Store) -> None:
    course, client = Course(), Client(store)
    async with running(store, course.pipeline) as worker:
        job = await submit(client, "test", b"wait")
        with anyio.fail_after(30):
            await course.entered.wait()
        worker.stop()
        course.leave.set()
        view = await until(store, job.id, ("ready",), stage="second")
    assert (view.stages[1].state, view.stages[1].attempt) == ("ready", 0)
    assert course.ran == [("first", "wait")]
    async with running(store, course.pipeline):
        assert (await until(store, job.id)).state == "succeeded"
    assert [each for each, _ in course.ran] == STAGES


async def test_without_the_servers_time_everything_is_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.clock.LONGEST_ROUND_TRIP", -1)
    course, since = Course(), await store.changes.now()
    async with running(store, course.pipeline):
        job = await submit(Client(store), "test", b"a b")
        assert (await until(store, job.id)).state == "succeeded"
    events = await history(store, since, 1)
    for each in STAGES:
        assert states(events, each) == ["ready", "running", "succeeded"]


async def test_nothing_is_held_after_a_jump_of_the_servers_clock(store: Store) -> None:
    clock = ServerClock(timedelta(seconds=45))
    sent = time.monotonic()
    clock.sample(await store.workers.register("one", **IDLE), sent)
    hand_off = HandOff("one", [], clock, timedelta(seconds=45), lambda _: True, Gates("one", []))
    now = await store.changes.now()
    held = hand_off.hold(now)
    assert held is not None
    assert held.until - held.now == timedelta(seconds=45)
    assert hand_off.hold(Timestamp(now.time + 3600, 1)) is None
    assert hand_off.hold(now) is None  # until it has been asked again


@pytest.mark.parametrize(
    "stages", [(None, None), (["first", "third"], None)], ids=["alike", "one leaves a stage out"]
)
async def test_two_workers_run_every_stage_of_every_job_once(
    store: Store, stages: tuple[Collection[str] | None, ...]
) -> None:
    course, client = Course(), Client(store)
    pipeline, since = course.pipeline, await store.changes.now()
    names = [f"document {number}" for number in range(60)]
    async with (
        running(store, pipeline, stages=stages[0], name="one"),
        running(store, pipeline, stages=stages[1], name="two"),
    ):
        for name in names:
            await submit(client, "test", name.encode())
        events = await history(store, since, len(names))
    assert Counter(course.ran) == {(stage, name): 1 for stage in STAGES for name in names}
    assert {each: states(events, each).count("succeeded") for each in STAGES} == dict.fromkeys(STAGES, 60)
    assert await store.db["jobs"].count_documents({"state": "succeeded"}) == 60
    assert await store.db["tasks"].count_documents({"attempt": 1}) == 180
    assert await violations(store) == {}


async def test_a_worker_whose_record_is_gone_registers_again(store: Store) -> None:
    course, lease = Course(), timedelta(seconds=1)
    assert await store.workers.seen("nobody", lease, listening=True) is None
    async with running(store, course.pipeline, WorkerSettings(lease=lease)) as worker:
        before = await store.db["workers"].find_one({"_id": worker.name}) or {}
        async with store.changes.open(WORK) as stream:
            await store.db["workers"].delete_one({"_id": worker.name})
            with anyio.fail_after(30):
                while (event := await stream.read()) is None or event.operation != "insert":
                    pass
        [now] = await store.workers.alive()
        assert (event.collection, event.id) == ("workers", worker.name)
        after = await store.db["workers"].find_one({"_id": worker.name}) or {}
        assert (now["_id"], now["queues"]) == (worker.name, before["queues"])
        assert after["sessions"] == before["sessions"]
        job = await submit(Client(store), "test", b"a b")
        assert (await until(store, job.id)).state == "succeeded"
