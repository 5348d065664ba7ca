"""Many documents as one: totals, progress, one end, cancelled as one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from pymongo.errors import WriteError

from pipeline import Document, PermanentError, StageContext, stage
from pipeline.client import Client
from pipeline.errors import NotFound, StateConflict, SubmissionError
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.submission import batch_document, job_document
from pipeline.views import BatchView, JobView
from tests.integration.api_server import api, serving
from tests.integration.test_rest import check_problem
from tests.records import violations
from tests.support import COUNTING, Text, pieces, pipeline_of, running, submit, until


@stage(name="picky")
async def picky(document: Document, context: StageContext) -> Text:
    content = await document.read()
    if content == b"bad":
        raise PermanentError("it is bad")
    if content == b"slow":
        await anyio.sleep_forever()
    return Text(text=content.decode())


PICKY = pipeline_of(picky)


async def submit_into(client: Client, batch: str, content: bytes = b"one two", **options: Any) -> JobView:
    return await submit(client, options.pop("pipeline", "counting"), content, batch=batch, **options)


async def ended(store: Store, batch: str) -> BatchView:
    """Wait, by change events, until a batch has ended."""
    with anyio.fail_after(60):
        async with store.changes.open(FEED) as stream:
            while (view := await Client(store).batch(batch)).state == "running":
                await stream.read()
    return view


@asynccontextmanager
async def ends_of(store: Store, batch: str) -> AsyncIterator[list[str]]:
    """Every end of a batch that the change stream tells of, up to the end of the block."""
    told: list[str] = []
    async with store.changes.open(FEED) as stream:
        yield told
        marker = batch_document()
        await store.db["batches"].insert_one(marker)
        while (event := await stream.read()) is None or event.id != marker["_id"]:
            if event is not None and event.id == batch and event.fields.get("state", "running") != "running":
                told.append(event.fields["state"])


async def test_a_batch_ends_once_with_the_last_of_its_jobs_however_many_workers_there_are(
    store: Store,
) -> None:
    client = Client(store)
    batch = await client.create_batch(total=40, name="march", metadata={"for": "accounting"})
    assert (batch.state, batch.total, batch.name, batch.metadata) == (
        "running",
        40,
        "march",
        {"for": "accounting"},
    )
    async with ends_of(store, batch.id) as ends, AsyncExitStack() as workers:
        for _ in range(4):
            await workers.enter_async_context(running(store, COUNTING, WorkerSettings(slots=2)))
        jobs = [await submit_into(client, batch.id) for _ in range(40)]
        view = await ended(store, batch.id)
    assert ends == ["succeeded"]
    assert (view.jobs.succeeded, view.total, view.finished_at is not None) == (40, 40, True)
    assert {each.id for each in await client.jobs(batch=batch.id, limit=100)} == {job.id for job in jobs}
    assert {each.batch for each in await client.jobs()} == {batch.id}
    assert await violations(store) == {}


async def test_of_many_that_find_a_batch_at_its_end_one_ends_it(store: Store) -> None:
    batch = batch_document(total=1)
    job = job_document("counting", name="a", content=b"one", batch=batch["_id"])
    await store.db["batches"].insert_one(batch)
    await store.db["jobs"].insert_one({**job, "state": "failed", "error": {"message": "bad"}})
    ends: list[str | None] = []

    async def find() -> None:
        ends.append(await store.batches.end(batch["_id"]))

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(find)
    assert sorted(ends, key=str) == [None] * 15 + ["failed"]


async def test_an_open_batch_goes_on_until_it_is_closed(store: Store) -> None:
    client = Client(store)
    batch = await client.create_batch()
    async with running(store, COUNTING):
        for _ in range(2):
            job = await submit_into(client, batch.id)
            await until(store, job.id)
        view = await client.batch(batch.id)
        assert (view.state, view.total, view.jobs.succeeded) == ("running", None, 2)
        closed = await client.close_batch(batch.id)
    assert (closed.state, closed.total) == ("succeeded", 2)
    with pytest.raises(StateConflict, match="is succeeded: it cannot be closed"):
        await client.close_batch(batch.id)
    with pytest.raises(SubmissionError, match="has ended: it takes no more jobs"):
        await submit_into(client, batch.id)
    assert await store.db["documents.files"].count_documents({}) == 2


async def test_a_batch_has_failed_when_one_of_its_jobs_has(store: Store) -> None:
    client = Client(store)
    batch = await client.create_batch(total=3)
    async with running(store, PICKY):
        for content in (b"good", b"bad", b"good"):
            await submit_into(client, batch.id, content, pipeline="test")
        view = await ended(store, batch.id)
    assert (view.state, view.jobs.succeeded, view.jobs.failed) == ("failed", 2, 1)


async def test_a_batch_ends_too_when_its_last_job_is_cancelled_or_overdue(store: Store) -> None:
    """Their ends are written by others than a worker's attempt."""
    client = Client(store)
    batch = await client.create_batch(total=2)
    async with running(store, PICKY):
        good = await submit_into(client, batch.id, b"good", pipeline="test")
        slow = await submit_into(client, batch.id, b"slow", pipeline="test")
        await until(store, good.id)
        await until(store, slow.id, ("running",), stage="picky")
        await client.cancel(slow.id)
        view = await ended(store, batch.id)
    assert (view.state, view.jobs.succeeded, view.jobs.cancelled) == ("cancelled", 1, 1)


async def test_a_cancelled_batch_stops_what_runs_and_what_waits(store: Store) -> None:
    client = Client(store)
    batch, other = await client.create_batch(), await client.create_batch()
    async with ends_of(store, batch.id) as ends, running(store, PICKY, WorkerSettings(slots=1)):
        done = await submit_into(client, batch.id, b"good", pipeline="test")
        await until(store, done.id)
        slow = await submit_into(client, batch.id, b"slow", pipeline="test")
        await until(store, slow.id, ("running",), stage="picky")
        waiting = [await submit_into(client, batch.id, b"good", pipeline="test") for _ in range(3)]
        others = await submit_into(client, other.id, b"good", pipeline="test")
        view = await client.cancel_batch(batch.id)
        assert (view.state, view.cancelled, view.total) == ("cancelled", True, 5)
        assert (view.jobs.succeeded, view.jobs.cancelled) == (1, 4)
        assert (await until(store, others.id)).state == "succeeded"
    assert ends == ["cancelled"]
    assert {(await client.get(job.id)).state for job in (slow, *waiting)} == {"cancelled"}
    with pytest.raises(StateConflict, match="is cancelled: it cannot be cancelled"):
        await client.cancel_batch(batch.id)
    assert await violations(store) == {}


async def test_a_batch_that_any_driver_closes_is_ended_by_the_next_reconciliation(store: Store) -> None:
    client = Client(store)
    batch = await client.create_batch()
    async with running(store, COUNTING):
        await until(store, (await submit_into(client, batch.id)).id)
    await store.db["batches"].update_one({"_id": batch.id}, {"$set": {"total": 1.0}})
    async with running(store, COUNTING):
        assert (await ended(store, batch.id)).state == "succeeded"


async def test_a_batch_and_its_jobs_are_inserted_in_one_transaction(store: Store) -> None:
    batch = batch_document(total=3)
    jobs = [job_document("counting", name="a", content=b"one", batch=batch["_id"]) for _ in range(3)]
    async with running(store, COUNTING):
        async with store.db.client.start_session() as session:
            async with await session.start_transaction():
                await store.db["batches"].insert_one(batch, session=session)
                await store.db["jobs"].insert_many(jobs, session=session)
        assert (await ended(store, batch["_id"])).jobs.succeeded == 3


async def test_an_empty_batch_ends_at_once(store: Store) -> None:
    view = await Client(store).create_batch(total=0)
    assert (view.state, view.jobs.succeeded) == ("succeeded", 0)


async def test_nobody_sees_or_joins_another_tenants_batch(store: Store) -> None:
    batch = await Client(store).create_batch()
    stranger = Client(store, "stranger")
    for act in (stranger.batch, stranger.close_batch, stranger.cancel_batch):
        with pytest.raises(NotFound):
            await act(batch.id)
    assert await stranger.batches() == []
    stored = await stranger.receive(pieces(b"one"), "a.txt")
    with pytest.raises(SubmissionError, match="there is no batch"):
        await stranger.submit(stored, "a.txt", "counting", batch=batch.id)
    job = job_document("counting", name="a", content=b"one", tenant="stranger", batch=batch.id)
    with pytest.raises(WriteError, match="failed validation"):
        await store.db["jobs"].insert_one(job)


async def test_a_batch_over_rest(store: Store) -> None:
    async with api(store) as served:
        created = await served.http.post("/v1/batches", json={"total": 3, "name": "march"})
        assert created.status_code == 201
        batch = created.json()
        with anyio.fail_after(60):
            async with served.watch(f"/v1/batches/{batch['id']}/events") as events:
                told = [await anext(events)]
                for _ in range(3):
                    await served.submit(batch=batch["id"])
                told += [event async for event in events if event.event != "heartbeat"]
        assert [each.event for each in told] == ["batch"] * (len(told) - 1) + ["end"]
        assert told[0].data["jobs"] == dict.fromkeys(
            ("submitted", "running", "succeeded", "failed", "cancelled"), 0
        )
        done = [each.data["jobs"]["succeeded"] for each in told[:-1]]
        assert (done, done[-1]) == (sorted(done), 3)
        assert told[-1].data == {"batch": batch["id"], "state": "succeeded"}
        async with served.watch(f"/v1/batches/{batch['id']}/events", told[0].id) as again:
            assert [event.event async for event in again] == ["batch", "end"]
        assert [each["id"] for each in (await served.get("/v1/batches"))["batches"]] == [batch["id"]]
        assert len((await served.get(f"/v1/jobs?batch={batch['id']}"))["jobs"]) == 3
        assert (await served.get(f"/v1/batches/{batch['id']}"))["state"] == "succeeded"
        check_problem(await served.http.post(f"/v1/batches/{batch['id']}/cancel"), 409, "is succeeded")
        check_problem(
            await served.http.post(f"/v1/batches/default.{'0' * 32}/close"), 404, "there is no batch"
        )
        check_problem(await served.http.post("/v1/batches", json={"total": -1}), 422, "total")
        check_problem(await served.post(batch=batch["id"]), 422, "has ended")
        check_problem(await served.post(batch="default.0123456789abcdef"), 422, "there is no batch")


async def test_a_quiet_batch_sends_heartbeats_and_all_events_tell_of_batches(store: Store) -> None:
    async with serving(store.settings) as served, served.watch("/v1/events") as all_events:
        await anext(all_events)
        batch = (await served.http.post("/v1/batches", json={})).json()["id"]
        with anyio.fail_after(60):
            while (event := await anext(all_events)).event != "batch":
                pass
            assert (event.data["batch"], event.data["state"]) == (batch, "running")
            assert (await served.http.post(f"/v1/batches/{batch}/close")).json()["state"] == "succeeded"
            states = [(await anext(all_events)).data for _ in range(2)]
        assert states[0] == {"batch": batch, "total": 0}
        assert states[1]["state"] == "succeeded"
