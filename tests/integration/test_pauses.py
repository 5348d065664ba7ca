"""Pauses and drained workers: nothing of them begins, the rest goes on, and a job says why it waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.errors import NotFound
from pipeline.feed import Feed
from pipeline.operator import Operator
from pipeline.reasons import WhyView
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker
from tests.records import admitted, queue, stored, violations
from tests.support import COUNTING, Text, pipeline_of, running, submit, until


@asynccontextmanager
async def hearing(store: Store, pipeline: Pipeline = COUNTING) -> AsyncIterator[Worker]:
    """A worker that hears of everything from now on."""
    feed = Feed(store.changes)
    async with running(store, pipeline, feed=feed) as worker:
        with anyio.fail_after(30):
            await feed.opened()
        yield worker


async def why(store: Store, job: str, tenant: str = "default") -> WhyView:
    return await Client(store, tenant).why(job)


async def kinds(store: Store, job: str, tenant: str = "default") -> list[str]:
    return [each.kind for each in (await why(store, job, tenant)).reasons]


async def until_heard(worker: Worker, subject: str) -> None:
    with anyio.fail_after(30):
        await worker.gates.known(subject, closed=True)


@pytest.mark.parametrize(
    ("subject", "listen"),
    [
        ("pipeline:counting", True),
        ("stage:counting/read", True),
        ("tenant:default", True),
        ("tenant:default", False),
    ],
)
async def test_what_is_paused_waits_and_what_is_resumed_runs(
    store: Store, subject: str, listen: bool
) -> None:
    operator = Operator(store)
    async with running(store, COUNTING, WorkerSettings(listen=listen)) as worker:
        await operator.pause(subject, "the printer burns")
        await until_heard(worker, subject)
        job = await submit(Client(store), "counting")
        told = await why(store, job.id)
        assert (told.reasons[0].kind, told.reasons[0].subject) == ("paused", subject)
        assert "the printer burns" in told.reasons[0].message
        other = await submit(Client(store, "acme"), "counting")
        if subject == "tenant:default":
            assert (await until(store, other.id)).state == "succeeded"
        assert all(each.state in ("waiting", "ready") for each in (await Client(store).get(job.id)).stages)
        await operator.resume(subject)
        assert (await until(store, job.id)).state == "succeeded"
        assert await kinds(store, job.id) == ["ended"]
    assert await violations(store) == {}


async def test_a_paused_later_stage_stops_jobs_before_it(store: Store) -> None:
    operator = Operator(store)
    async with hearing(store) as worker:
        await operator.pause("stage:counting/count")
        await until_heard(worker, "stage:counting/count")
        job = await submit(Client(store), "counting")
        view = await until(store, job.id, ("ready",), stage="count")
        assert [each.state for each in view.stages] == ["succeeded", "ready"]
        told = await why(store, job.id)
        assert (told.stage, told.reasons[0].subject) == ("count", "stage:counting/count")
        await operator.resume("stage:counting/count")
        assert (await until(store, job.id)).state == "succeeded"


async def test_tasks_of_a_paused_tenant_leave_the_claims_index_and_come_back(store: Store) -> None:
    jobs = await admitted(store, 5, tenant="acme")
    operator = Operator(store)
    await operator.pause("tenant:acme")
    async with hearing(store):
        ours = await submit(Client(store), "counting")
        assert (await until(store, ours.id)).state == "succeeded"
        assert await store.tasks.ready([queue()], 10) == []
        for job in jobs:
            task = await stored(store, f"{job}:read:1")
            assert (task["state"], task["queue"]) == ("ready", queue() + "#tenant:acme")
        assert await store.ponds.filled([queue()]) == [queue() + "#tenant:acme"]
    await operator.resume("tenant:acme")
    async with hearing(store):  # one that has heard nothing of the pause
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    assert (await stored(store, f"{jobs[0]}:read:1"))["queue"] == queue()
    assert await violations(store) == {}


async def test_a_job_cancelled_in_a_pond_runs_again_outside_of_it(store: Store) -> None:
    operator = Operator(store)
    await operator.pause("tenant:default")
    async with hearing(store):
        job = await submit(Client(store), "counting")
        await until(store, job.id, ("ready",), stage="read")
        await Client(store).cancel(job.id)
        await operator.resume("tenant:default")
        await Client(store).retry(job.id, "read")
        assert (await until(store, job.id, ("succeeded",))).state == "succeeded"


async def test_a_drained_worker_ends_what_it_runs_and_begins_nothing(store: Store) -> None:
    entered, leave = anyio.Event(), anyio.Event()

    @stage(name="slow")
    async def slow(document: Document, context: StageContext) -> Text:
        if await document.read() == b"slow":
            entered.set()
            await leave.wait()
        return Text(text="")

    operator, pipeline = Operator(store), pipeline_of(slow)
    async with hearing(store, pipeline) as worker:
        first = await submit(Client(store), "test", b"slow")
        with anyio.fail_after(30):
            await entered.wait()
        await operator.drain(worker.name, "a new machine")
        await until_heard(worker, f"worker:{worker.name}")
        assert await operator.running(worker.name) == 1
        assert await kinds(store, first.id) == ["running"]
        second = await submit(Client(store), "test", b"fast")
        assert await kinds(store, second.id) == ["drained"]
        leave.set()
        assert (await until(store, first.id)).state == "succeeded"
        assert await operator.running(worker.name) == 0
        assert (await Client(store).get(second.id)).state == "submitted"
        async with running(store, pipeline):  # another one goes on, and is not waiting for the first
            assert (await until(store, second.id)).state == "succeeded"
        third = await submit(Client(store), "test", b"fast")
        await operator.resume(f"worker:{worker.name}")
        assert (await until(store, third.id)).state == "succeeded"


async def test_why_nothing_hosts_it_and_behind_how_many(store: Store) -> None:
    client = Client(store)
    jobs = [await submit(client, "counting") for _ in range(3)]
    assert "no worker has ever hosted" in (await why(store, jobs[0].id)).reasons[0].message
    await store.pipelines.register([COUNTING])
    told = await why(store, jobs[2].id)
    assert [each.kind for each in told.reasons] == ["no_worker", "behind"]
    assert told.reasons[1].ahead == 2
    urgent = await submit(client, "counting", priority=3)
    assert [each.kind for each in (await why(store, urgent.id)).reasons] == ["no_worker"]
    later = datetime.now(UTC) + timedelta(hours=1)
    delayed = (await why(store, (await submit(client, "counting", run_at=later)).id)).reasons[0]
    assert delayed.kind == "delayed"
    assert delayed.until is not None
    assert abs(delayed.until - later) < timedelta(seconds=1)


async def test_why_a_ready_task_waits(store: Store) -> None:
    await admitted(store, 3)
    [last] = await admitted(store)
    other = COUNTING.version + 1
    await store.workers.register(
        "newer", host="h", pid=1, queues=[queue().replace("@1", f"@{other}")], slots=1, sessions=[],
        alive_for=timedelta(minutes=1),
    )  # fmt: skip
    told = await why(store, last)
    assert [each.kind for each in told.reasons] == ["no_worker", "behind"]
    assert f"they host counting@{other}/read" in told.reasons[0].message
    assert told.reasons[1].ahead == 3
    await store.workers.register(
        "busy", host="h", pid=1, queues=[queue()], slots=1, sessions=[], alive_for=timedelta(minutes=1)
    )
    assert [(each.kind, each.ahead) for each in (await why(store, last)).reasons] == [("behind", 3)]


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("stage:counting/reed", "counting/count, counting/read"),
        ("pipeline:documents", "counting"),
        ("worker:nobody", "none"),
        ("tenant:$ne", "can't be a tenant"),
        ("moon:full", "stage, pipeline, tenant and worker"),
    ],
)
async def test_what_is_not_there_cannot_be_paused(store: Store, subject: str, told: str) -> None:
    await store.pipelines.register([COUNTING])
    with pytest.raises(NotFound, match=f".*{told.replace('$', '.')}"):
        await Operator(store).pause(subject)
    assert await Operator(store).pauses() == []


async def test_a_second_pause_keeps_the_first_and_only_what_is_paused_is_resumed(store: Store) -> None:
    operator = Operator(store)
    first = await operator.pause("tenant:acme", "unpaid")
    assert await operator.pause("tenant:acme", "again") == first
    assert await operator.pauses() == [first]
    assert await operator.resume("tenant:acme") == first
    with pytest.raises(NotFound, match="not paused; paused: nothing"):
        await operator.resume("tenant:acme")
