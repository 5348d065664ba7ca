"""A worker takes jobs through a pipeline: outcomes, retries, checkpoints, stops."""

import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel, SecretStr

from pipeline import Document, PermanentError, RetryPolicy, Snooze, StageContext, TemporaryError, stage
from pipeline.client import Client
from pipeline.embedded import embedded_mongod
from pipeline.errors import StateConflict
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker
from tests.records import stored, violations
from tests.support import COUNTING, Count, Text, pipeline_of, read, running, submit, until

AT_ONCE = RetryPolicy(max_attempts=3, first=timedelta(milliseconds=1))


async def test_a_job_runs_through_its_stages(store: Store) -> None:
    client = Client(store)
    async with running(store, COUNTING):
        job = await submit(client, "counting")
        view = await until(store, job.id)
    assert view.state == "succeeded"
    assert [each.state for each in view.stages] == ["succeeded", "succeeded"]
    assert await client.output(job.id, "count") == {"words": 3}


async def test_a_job_that_was_submitted_before_any_worker_lived_is_found(store: Store) -> None:
    job = await submit(Client(store), "counting")
    async with running(store, COUNTING):
        assert (await until(store, job.id)).state == "succeeded"


async def test_everything_finishes_without_a_change_stream(store: Store) -> None:
    async with running(store, COUNTING, WorkerSettings(listen=False)):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
    assert await store.listeners.list() == []


async def test_a_temporary_error_is_tried_again(store: Store) -> None:
    @stage(name="shaky", retry=AT_ONCE)
    async def shaky(document: Document, context: StageContext) -> Text:
        if context.attempt < 3:
            raise TemporaryError("not yet")
        return Text(text="done")

    async with running(store, pipeline_of(shaky)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id)
    assert (view.state, view.stages[0].attempt) == ("succeeded", 3)
    errors = (await store.db["tasks"].find_one({"job": job.id}) or {})["errors"]
    assert [(each["attempt"], each["message"]) for each in errors] == [(1, "not yet"), (2, "not yet")]


async def test_retry_after_puts_the_task_off(store: Store) -> None:
    @stage(name="busy")
    async def busy(document: Document, context: StageContext) -> Text:
        raise TemporaryError("come back later", retry_after=timedelta(hours=1))

    async with running(store, pipeline_of(busy)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id, ("ready",), stage="busy")
        while view.stages[0].error is None:  # `ready` before its first claim, too
            view = await until(store, job.id, ("ready",), stage="busy")
    task = await store.db["tasks"].find_one({"job": job.id}) or {}
    assert (task["run_at"] - task["started_at"]) > timedelta(minutes=59)


async def test_snoozing_charges_no_attempt(store: Store) -> None:
    asked: list[int] = []

    @stage(name="asking", retry=RetryPolicy(max_attempts=1))
    async def asking(document: Document, context: StageContext) -> Text:
        asked.append(context.attempt)
        if len(asked) < 4:
            raise Snooze(timedelta(milliseconds=50), "the service asks to slow down")
        return Text(text="")

    async with running(store, pipeline_of(asking)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id)
    assert view.state == "succeeded"
    assert asked == [1, 1, 1, 1]
    assert view.stages[0].error is None
    snoozed = (await stored(store, f"{job.id}:asking:1"))["snoozed"]
    assert (snoozed["times"], snoozed["why"]) == (3, "the service asks to slow down")


async def test_a_permanent_error_fails_the_job_at_once_and_names_the_part(store: Store) -> None:
    @stage(name="broken", retry=AT_ONCE)
    async def broken(document: Document, context: StageContext) -> Text:
        async def page(number: int) -> Text:
            if number == 2:
                raise PermanentError("the page is torn: scan it again")
            return Text(text=str(number))

        await context.each([1, 2, 3], page, Text, unit="page", concurrency=1)
        return Text(text="")

    async with running(store, pipeline_of(broken)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id)
    assert (view.state, view.stages[0].state, view.stages[0].attempt) == ("failed", "failed", 1)
    assert view.error is not None
    assert (view.error.type, view.error.part, view.error.stage) == ("PermanentError", "page 2", "broken")
    assert "scan it again" in view.error.message


async def test_attempts_are_bounded(store: Store) -> None:
    @stage(name="poison", retry=AT_ONCE)
    def poison(document: Document, context: StageContext) -> Text:
        raise ZeroDivisionError("$boom")

    async with running(store, pipeline_of(poison)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id)
    assert (view.state, view.stages[0].attempt) == ("failed", 3)
    assert view.error is not None
    assert (view.error.type, view.error.message) == ("ZeroDivisionError", "$boom")


async def test_a_timeout_is_a_temporary_error(store: Store) -> None:
    @stage(name="slow", timeout=timedelta(milliseconds=50), retry=RetryPolicy(max_attempts=1))
    async def slow(document: Document, context: StageContext) -> Text:
        await anyio.sleep_forever()
        raise AssertionError

    async with running(store, pipeline_of(slow)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id)
    assert view.error is not None
    assert view.error.type == "TemporaryError"
    assert "timeout" in view.error.message


@pytest.mark.parametrize("plain", [False, True])
async def test_a_stage_that_exits_ends_its_attempt_and_not_the_worker(store: Store, plain: bool) -> None:
    @stage(name="leaving", retry=RetryPolicy(max_attempts=1))
    async def leaving(document: Document, context: StageContext) -> Text:
        sys.exit(3)

    @stage(name="leaving", retry=RetryPolicy(max_attempts=1))
    def leaving_a_thread(document: Document, context: StageContext) -> Text:
        sys.exit(3)

    client = Client(store)
    async with running(store, pipeline_of(leaving_a_thread if plain else leaving)):
        for _ in range(2):  # the worker is there for the second one too
            view = await until(store, (await submit(client, "test")).id)
            assert view.state == "failed"
            assert view.error is not None
            assert "sys.exit(3)" in view.error.message


async def test_a_thread_that_hangs_keeps_its_slot_and_not_its_task(store: Store) -> None:
    gate = threading.Event()

    @stage(name="hanging", timeout=timedelta(seconds=0.2), retry=RetryPolicy(max_attempts=1))
    def hanging(document: Document, context: StageContext) -> Text:
        gate.wait(60)
        return Text(text="")

    client, pipeline = Client(store), pipeline_of(hanging)
    async with running(store, pipeline, WorkerSettings(slots=1)) as worker:
        first, second = [await submit(client, "test") for _ in range(2)]
        assert (await until(store, first.id)).state == "failed"
        assert (await client.get(second.id)).state == "submitted"
        assert worker._threads._running
        gate.set()
        assert (await until(store, second.id)).state == "succeeded"


async def test_saved_parts_never_run_again(store: Store) -> None:
    ran: list[int] = []

    @stage(name="pages", retry=AT_ONCE)
    async def pages(document: Document, context: StageContext) -> Text:
        async def page(number: int) -> str:
            ran.append(number)
            if number == 3 and context.attempt == 1:
                raise TemporaryError("the third fails once")
            return str(number)

        return Text(text="".join(await context.each([1, 2, 3, 4], page, str, unit="page", concurrency=1)))

    async with running(store, pipeline_of(pages)):
        job = await submit(Client(store), "test")
        await until(store, job.id)
    assert ran == [1, 2, 3, 3, 4]
    assert await Client(store).output(job.id, "pages") == {"text": "1234"}


async def test_a_stage_reads_any_earlier_output_by_its_type(store: Store) -> None:
    class Report(BaseModel):
        told: str

    @stage(name="count")
    async def tally(text: Text, context: StageContext) -> Count:
        return Count(words=len(text.text.split()))

    @stage(name="report")
    async def report(count: Count, context: StageContext) -> Report:
        text = await context.output(Text)
        return Report(told=f"{text.text}: {count.words}")

    async with running(store, pipeline_of(read, tally, report)):
        job = await submit(Client(store), "test", b"a b")
        assert (await until(store, job.id)).state == "succeeded"
    assert await Client(store).output(job.id, "report") == {"told": "a b: 2"}


async def test_a_hard_stop_gives_the_task_back_without_charging_an_attempt(store: Store) -> None:
    entered = anyio.Event()

    @stage(name="endless")
    async def endless(document: Document, context: StageContext) -> Text:
        entered.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with running(store, pipeline_of(endless)) as worker:
        job = await submit(Client(store), "test")
        with anyio.fail_after(30):
            await entered.wait()
        worker.stop(now=True)
        view = await until(store, job.id, ("ready",), stage="endless")
    assert view.stages[0].attempt == 0
    assert await store.workers.alive() == []


async def test_a_soft_stop_lets_what_runs_finish(store: Store) -> None:
    entered, leave = anyio.Event(), anyio.Event()

    @stage(name="patient")
    async def patient(document: Document, context: StageContext) -> Text:
        entered.set()
        await leave.wait()
        return Text(text="finished")

    async with running(store, pipeline_of(patient)) as worker:
        job = await submit(Client(store), "test")
        with anyio.fail_after(30):
            await entered.wait()
        worker.stop()
        leave.set()
        assert (await until(store, job.id)).state == "succeeded"


async def test_cancel_stops_a_running_attempt_and_nothing_follows(store: Store) -> None:
    entered, stopped = anyio.Event(), anyio.Event()

    @stage(name="long")
    async def long(document: Document, context: StageContext) -> Text:
        entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        raise AssertionError

    client = Client(store)
    # With leases of an hour no renewal notices: only the event can.
    async with running(store, pipeline_of(long), WorkerSettings(lease=timedelta(hours=1))):
        job = await submit(client, "test")
        with anyio.fail_after(30):
            await entered.wait()
            assert (await client.cancel(job.id)).state == "cancelled"
            await stopped.wait()
    view = await client.get(job.id)
    assert (view.state, view.stages[0].state) == ("cancelled", "cancelled")
    with pytest.raises(StateConflict):
        await client.cancel(job.id)
    with pytest.raises(StateConflict):
        await client.retry(job.id)


async def test_a_failed_job_is_tried_again_with_its_checkpoints(store: Store) -> None:
    ran: list[str] = []
    fixed = False

    @stage(name="fixable", retry=RetryPolicy(max_attempts=1))
    async def fixable(document: Document, context: StageContext) -> Text:
        async def first() -> str:
            ran.append("first")
            return "kept"

        kept = await context.checkpoint("first", first, str)
        if not fixed:
            raise TemporaryError("still broken")
        return Text(text=kept)

    client = Client(store)
    async with running(store, pipeline_of(fixable)):
        job = await submit(client, "test")
        assert (await until(store, job.id)).state == "failed"
        fixed = True
        await client.retry(job.id)
        assert (await until(store, job.id)).state == "succeeded"
    assert ran == ["first"]
    assert await violations(store) == {}


async def test_a_job_of_later_waits_for_its_time(store: Store) -> None:
    client = Client(store)
    async with running(store, COUNTING):
        soon = datetime.now(UTC) + timedelta(seconds=2)
        job = await submit(client, "counting", run_at=soon)
        view = await until(store, job.id)
    assert view.state == "succeeded"
    assert view.stages[0].started_at is not None
    assert view.stages[0].started_at >= soon.replace(microsecond=soon.microsecond // 1000 * 1000)


async def test_a_worker_that_is_cancelled_while_the_database_is_away_ends(tmp_path: Path) -> None:
    begun = anyio.Event()

    @stage(name="endless")
    async def endless(document: Document, context: StageContext) -> Text:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with embedded_mongod(tmp_path) as mongod:
        uri = SecretStr(mongod.uri)
        settings = StoreSettings(mongodb_uri=uri, database="away", timeout=timedelta(seconds=1))
        async with Store(settings) as own:
            worker = Worker(own, [pipeline_of(endless)])
            try:
                async with anyio.create_task_group() as group:
                    await group.start(worker.run)
                    await submit(Client(own), "test")
                    with anyio.fail_after(30):
                        await begun.wait()
                    os.kill(mongod.pid, signal.SIGSTOP)
                    group.cancel_scope.cancel()
            finally:
                os.kill(mongod.pid, signal.SIGCONT)
