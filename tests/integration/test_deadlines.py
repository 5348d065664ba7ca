"""A job that has not ended by its deadline fails, whatever it was doing; by the server's clock."""

from datetime import UTC, datetime, timedelta

import anyio

from pipeline import Document, Pipeline, Snooze, StageContext, stage
from pipeline.client import Client
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import WORK
from tests.records import stored, violations
from tests.support import COUNTING, Text, pipeline_of, reconciled, running, submit, until

SOON = timedelta(seconds=2)


def soon() -> datetime:
    return datetime.now(UTC) + SOON


async def test_a_running_attempt_is_stopped_and_the_job_failed(store: Store) -> None:
    stopped = anyio.Event()

    @stage(name="endless")
    async def endless(document: Document, context: StageContext) -> Text:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async with running(store, pipeline_of(endless), WorkerSettings(lease=timedelta(minutes=5))):
        job = await submit(Client(store), "test", deadline=soon())
        view = await until(store, job.id)
        with anyio.fail_after(30):
            await stopped.wait()
    assert view.state == "failed"
    assert view.error is not None
    assert (view.error.type, view.error.stage) == ("DeadlineExceeded", "endless")
    [error] = (await stored(store, f"{job.id}:endless:1"))["errors"]
    assert error["attempt"] == 1
    assert error["worker"]
    assert await violations(store) == {}


async def test_a_job_that_nobody_admits_fails_too(store: Store) -> None:
    job = await submit(Client(store), "unknown", deadline=soon())
    async with running(store, COUNTING):
        view = await until(store, job.id)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.type == "DeadlineExceeded"
    assert await violations(store) == {}


async def test_a_pipeline_limits_its_jobs_and_a_retried_one_has_the_time_again(store: Store) -> None:
    @stage(name="waiting")
    async def waiting(document: Document, context: StageContext) -> Text:
        raise Snooze(timedelta(hours=1), "not yet")

    limited = Pipeline("test", [waiting], timeout=SOON)
    client = Client(store)
    async with running(store, limited):
        job = await submit(client, "test")
        first = await until(store, job.id)
        await client.retry(job.id)
        second = await until(store, job.id)
    assert (first.state, second.state) == ("failed", "failed")
    assert first.deadline is not None
    assert first.started_at is not None
    assert first.deadline - first.started_at == SOON
    assert second.deadline is not None
    assert second.deadline >= first.deadline + SOON / 2
    assert await violations(store) == {}


async def test_a_job_that_ends_in_time_is_left_alone(store: Store) -> None:
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting", deadline=datetime.now(UTC) + timedelta(hours=1))
        assert (await until(store, job.id)).state == "succeeded"
    assert await store.deadlines.next() is None


async def test_without_deadlines_there_is_no_index_of_them(store: Store) -> None:
    async with running(store, COUNTING):
        assert (await until(store, (await submit(Client(store), "counting")).id)).state == "succeeded"
    assert "deadline" not in await store.db["jobs"].index_information()


async def test_the_first_deadline_of_a_job_that_nobody_admits_is_heard_of(store: Store) -> None:
    """By its event: when it came, the look at what waits, with which a worker begins, was over."""
    async with running(store, COUNTING):
        await reconciled(store, roles=1)
        await until(store, (await submit(Client(store), "counting")).id)
        view = await until(store, (await submit(Client(store), "unknown", deadline=soon())).id)
    assert view.state == "failed"
    assert await violations(store) == {}


async def test_the_first_deadline_of_which_no_event_tells_any_more_is_found_at_the_start(
    store: Store,
) -> None:
    """Whoever heard of it was killed before there was an index."""
    async with running(store, COUNTING) as worker:
        await reconciled(store, roles=1)
    job = await submit(Client(store), "unknown", deadline=soon())
    async with store.changes.open(WORK) as stream:
        assert await store.listeners.save(worker.role, stream.token, WORK)
    async with running(store, COUNTING):
        assert (await until(store, job.id)).state == "failed"


async def test_without_a_change_stream_waiting_jobs_are_looked_at(store: Store) -> None:
    async with running(store, COUNTING, WorkerSettings(listen=False)):
        await until(store, (await submit(Client(store), "counting")).id)
        view = await until(store, (await submit(Client(store), "unknown", deadline=soon())).id)
    assert view.state == "failed"
