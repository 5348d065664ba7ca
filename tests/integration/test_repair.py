"""What is broken here by direct writes is repaired, once, and never what a live worker is about to do."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket

from pipeline import Document, RetryPolicy, StageContext, stage, transitions
from pipeline.client import Client
from pipeline.errors import LeaseLost
from pipeline.settings import StoreSettings
from pipeline.stage import Stage
from pipeline.store import Store
from pipeline.store.changes import WORK
from pipeline.store.job_repair import Remedy, decide, read_case
from pipeline.store.repair import Repair
from pipeline.store.scan import snapshot
from tests.records import AT_ONCE, MINUTE, admitted, claimed, committing, completion, stored, violations
from tests.support import COUNTING, Count, Text, count, pieces, pipeline_of, read, running, submit, until

Plant = Callable[[Store, str], Awaitable[Any]]
MENDED: list[tuple[str, int, str, Plant]] = []
LEFT: list[tuple[str, str, Plant]] = []
ERROR = {"type": "Planted", "message": "planted", "part": None, "attempt": 1}


def mended(promise: str, times: int, state: str) -> Callable[[Plant], Plant]:
    """Register a planted fault with the repairs that it takes, and how the job ends that it gives back."""

    def register(plant: Plant) -> Plant:
        MENDED.append((promise, times, state, plant))
        return plant

    return register


def left(promise: str, why: str) -> Callable[[Plant], Plant]:
    """Register a planted fault that no repair can mend, with a word of what it says."""

    def register(plant: Plant) -> Plant:
        LEFT.append((promise, why, plant))
        return plant

    return register


async def finished(store: Store) -> str:
    """A job that has succeeded, of a pipeline that is registered."""
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
    return job.id


async def set_job(store: Store, job: str, **fields: Any) -> None:
    result = await store.db["jobs"].update_one({"_id": job}, {"$set": fields})
    assert result.matched_count == 1


async def set_task(store: Store, task: str, **fields: Any) -> None:
    result = await store.db["tasks"].update_one({"_id": task}, {"$set": fields})
    assert result.matched_count == 1


async def remove(store: Store, collection: str, *ids: Any) -> None:
    result = await store.db[collection].delete_many({"_id": {"$in": list(ids)}})
    assert result.deleted_count == len(ids)


@mended("I1", 1, "succeeded")
async def a_running_job_without_any_task(store: Store, job: str) -> str:
    [other] = await admitted(store)
    await remove(store, "tasks", f"{other}:read:1")
    return other


@mended("I1", 1, "failed")
async def a_running_job_whose_task_failed(store: Store, job: str) -> str:
    [other] = await admitted(store)
    await set_task(store, f"{other}:read:1", state="failed", errors=[ERROR])
    return other


@mended("I1", 1, "cancelled")
async def a_running_job_whose_task_was_cancelled(store: Store, job: str) -> str:
    [other] = await admitted(store)
    await set_task(store, f"{other}:read:1", state="cancelled")
    return other


@mended("I1", 1, "succeeded")
async def a_running_job_whose_last_stage_succeeded(store: Store, job: str) -> str:
    await set_job(store, job, state="running")
    return job


@mended("I1", 1, "succeeded")
async def a_success_without_its_successor(store: Store, job: str) -> str:
    await set_job(store, job, state="running")
    await remove(store, "tasks", f"{job}:count:1")
    await remove(store, "outputs", f"{job}:count:1")
    return job


@mended("I1", 1, "cancelled")
async def an_ended_job_with_a_ready_task(store: Store, job: str) -> str:
    [other] = await admitted(store)
    await set_job(store, other, state="cancelled")
    return other


@mended("I1", 1, "cancelled")
async def an_ended_job_with_a_running_task(store: Store, job: str) -> str:
    [task] = await claimed(store)
    await set_job(store, task.job, state="cancelled")
    return task.job


@mended("I1", 1, "succeeded")
async def a_submitted_job_with_a_task(store: Store, job: str) -> str:
    [other] = await admitted(store)
    unknown = {"stages": "", "pipeline_version": "", "started_at": ""}
    await store.db["jobs"].update_one({"_id": other}, {"$set": {"state": "submitted"}, "$unset": unknown})
    return other


@mended("I1", 2, "succeeded")
async def a_submitted_job_that_was_done(store: Store, job: str) -> str:
    await set_job(store, job, state="submitted")
    return job


@mended("I3", 3, "")
async def what_a_job_left_that_is_gone(store: Store, job: str) -> str:
    [task] = await claimed(store)
    async with committing(store) as commits:
        part = transitions.checkpoint(task, "page 1", {"text": "x"}, None, MINUTE)
        assert await commits.commit([part]) == [None]
        assert await commits.commit([await completion(store, task)]) == [None]
    await store.db["tasks"].delete_one({"_id": f"{task.job}:count:1"})
    await remove(store, "jobs", task.job)
    return task.job


@mended("I4", 1, "")
async def a_checkpoint_without_its_task(store: Store, job: str) -> str:
    checkpoint = {"_id": f"{job}:read:2/page 1", "task": f"{job}:read:2", "job": job, "fence": 1, "key": "1"}
    await store.db["checkpoints"].insert_one(checkpoint)
    return ""


@mended("I7", 2, "")
async def bytes_of_nobody(store: Store, job: str) -> str:
    await AsyncGridFSBucket(store.db, "documents").upload_from_stream("a.txt", b"one two three")
    await store.db["documents.chunks"].insert_one({"files_id": ObjectId(), "n": 0, "data": b"x"})
    return ""


@pytest.mark.parametrize(
    ("promise", "times", "state", "plant"),
    MENDED,
    ids=[getattr(plant, "__name__", "") for *_, plant in MENDED],
)
async def test_a_fault_is_repaired_once_and_the_job_goes_on(
    store: Store, promise: str, times: int, state: str, plant: Plant
) -> None:
    job = await plant(store, await finished(store))
    assert promise in await violations(store)
    told = await store.repair(AT_ONCE)
    assert [each for each in told.findings if each.violations] == []
    assert [(each.promise, each.repaired, each.left) for each in told.repairs] == [(promise, times, 0)]
    assert all(line for line in told.repairs[0].done)
    before = await dump(store)
    assert (await store.repair(AT_ONCE)).repairs == []
    assert await dump(store) == before
    if state:
        async with running(store, COUNTING):
            view = await until(store, job)
        assert view.state == state
        assert await violations(store) == {}
    if state == "succeeded":
        assert await Client(store).output(job, "count") == {"words": 3}
    if state == "failed":
        assert view.error is not None
        assert (view.error.type, view.error.message, view.error.stage) == ("Planted", "planted", "read")


async def dump(store: Store) -> dict[str, list[Any]]:
    """Everything that jobs consist of."""
    names = ("jobs", "tasks", "outputs", "checkpoints", "documents.files", "documents.chunks", "uploads")
    return {name: await store.db[name].find({}).sort("_id", 1).to_list() for name in names}


@left("I2", "removed what belongs together")
async def an_output_that_is_gone(store: Store, job: str) -> None:
    await remove(store, "outputs", f"{job}:count:1")


@left("I1", "the output of its last task is gone")
async def an_output_that_is_needed(store: Store, job: str) -> None:
    await an_output_that_is_gone(store, job)
    await set_job(store, job, state="running")


@left("I1", "tasks or outputs of its earlier stages are gone")
async def an_earlier_task_that_is_needed(store: Store, job: str) -> None:
    await remove(store, "tasks", f"{job}:read:1")
    await set_job(store, job, state="running")


@left("I1", "outputs of theirs are there")
async def a_running_job_with_outputs_alone(store: Store, job: str) -> None:
    await remove(store, "tasks", f"{job}:read:1", f"{job}:count:1")
    await set_job(store, job, state="running")


@left("I1", "more open tasks than one")
async def two_open_tasks(store: Store, job: str) -> None:
    [other] = await admitted(store)
    task = await stored(store, f"{other}:read:1")
    await store.db["tasks"].insert_one({**task, "_id": f"{other}:read:2", "revision": 2})


@left("I1", "is not registered")
async def a_successor_in_a_pipeline_that_is_not_registered(store: Store, job: str) -> None:
    await a_success_without_its_successor(store, job)
    await store.db["pipelines"].delete_many({})


@left("I1", "not those that are registered")
async def a_successor_in_a_pipeline_that_has_changed(store: Store, job: str) -> None:
    await a_success_without_its_successor(store, job)
    await set_job(store, job, stages=["read", "weigh"])


@left("I4", "don't trust this output")
async def an_output_under_an_older_lease(store: Store, job: str) -> None:
    await set_task(store, f"{job}:count:1", **{"lease.fence": 2})


@left("I5", "don't trust what the task wrote")
async def an_output_made_from_something_else(store: Store, job: str) -> None:
    await store.db["outputs"].update_one({"_id": f"{job}:read:1"}, {"$set": {"input_sha256": "0" * 64}})


@left("I6", "report it as a bug")
async def an_attempt_too_many(store: Store, job: str) -> None:
    await set_task(store, f"{job}:read:1", attempt=4)


@left("I7", "from a backup only")
async def bytes_that_are_gone(store: Store, job: str) -> None:
    await store.db["documents.chunks"].delete_many({})


@left("I7", "from a backup only")
async def bytes_that_are_cut_short(store: Store, job: str) -> None:
    await store.db["documents.chunks"].update_one({}, {"$set": {"data": b"one"}})


@left("I8", "start a worker of that role")
async def a_gap_that_is_open(store: Store, job: str) -> None:
    await store.listeners.open_gap("worker/counting", "82", WORK, lost=None, why="planted")


@pytest.mark.parametrize(
    ("promise", "why", "plant"), LEFT, ids=[getattr(plant, "__name__", "") for *_, plant in LEFT]
)
async def test_what_cannot_be_repaired_is_left_as_it_is_and_told(
    store: Store, promise: str, why: str, plant: Plant
) -> None:
    await plant(store, await finished(store))
    before, broken = await dump(store), await violations(store)
    told = await store.repair(AT_ONCE)
    assert await dump(store) == before
    assert {each.promise: each.violations for each in told.findings if each.violations} == broken
    repairs = {each.promise: each for each in told.repairs}
    assert {name: each.left for name, each in repairs.items()} == broken
    assert repairs[promise].repaired == 0
    assert why in "\n".join(repairs[promise].why)


async def test_a_gap_is_closed_by_a_worker_as_the_advice_says(store: Store) -> None:
    await a_gap_that_is_open(store, await finished(store))
    async with running(store, COUNTING):
        await until(store, (await submit(Client(store), "counting")).id)
        with anyio.fail_after(60):
            while await violations(store):
                await anyio.lowlevel.checkpoint()


async def test_young_bytes_uploads_and_workers_stay(store: Store) -> None:
    await bytes_of_nobody(store, "")
    await Client(store).upload(pieces(b"not submitted yet"), "a.txt")
    await register_worker(store, "silent", alive_for=AT_ONCE)
    before = await dump(store)
    assert (await store.repair()).repairs == []
    assert await dump(store) == before
    assert await store.db["workers"].count_documents({}) == 1


async def test_a_young_file_with_too_few_bytes_stays(store: Store) -> None:
    await AsyncGridFSBucket(store.db, "documents").upload_from_stream("a.txt", b"one two three")
    await bytes_that_are_cut_short(store, "")
    before = await dump(store)
    [repair] = (await store.repair()).repairs
    assert (repair.promise, repair.repaired, repair.left) == ("I7", 0, 1)
    assert await dump(store) == before


async def test_abandoned_uploads_and_dead_workers_are_cleared_away(store: Store) -> None:
    await Client(store).upload(pieces(b"never submitted"), "a.txt")
    await register_worker(store, "dead", alive_for=timedelta(hours=-2))
    told = await store.repair(AT_ONCE)
    assert [(each.promise, each.repaired, each.left) for each in told.repairs] == [
        ("I11", 1, 0),
        ("I7", 1, 0),
    ]
    assert (await dump(store))["documents.chunks"] == []
    assert await store.db["workers"].count_documents({}) == 0
    assert (await store.repair(AT_ONCE)).repairs == []


async def register_worker(store: Store, name: str, *, alive_for: timedelta) -> None:
    await store.workers.register(
        name, host="here", pid=1, queues=[], slots=1, sessions=[], alive_for=alive_for
    )


@stage(name="measure", retry=RetryPolicy(max_attempts=7))
async def measure(document: Document, context: StageContext) -> Count:
    first = await context.output(Text)
    return Count(words=len(first.text) + document.size)


@pytest.mark.parametrize(("last", "attempts", "words"), [(measure, 7, 26), (count, 3, 3)])
async def test_a_successor_is_as_its_pipeline_says(
    store: Store, last: Stage, attempts: int, words: int
) -> None:
    """It works on the document when its stage takes that, and has its stage's attempts."""
    hosted = pipeline_of(read, last)
    async with running(store, hosted):
        job = (await submit(Client(store), "test")).id
        await until(store, job)
    successor = f"{job}:{last.name}:1"
    whole = await stored(store, successor)
    await set_job(store, job, state="running")
    await remove(store, "tasks", successor)
    await remove(store, "outputs", successor)
    assert [each.violations for each in (await store.repair(AT_ONCE)).findings] == [0] * 9
    mended = await stored(store, successor)
    ran = {"state", "attempt", "lease", "run_at", "created_at", "started_at", "finished_at", "commit"}
    assert {name for name in whole if mended.get(name) != whole[name]} <= ran
    assert mended["max_attempts"] == attempts
    async with running(store, hosted):
        assert (await until(store, job)).state == "succeeded"
    assert await Client(store).output(job, last.name) == {"words": words}


async def test_a_remedy_that_comes_too_late_changes_nothing(store: Store) -> None:
    for plant in (plant for promise, *_, plant in MENDED if promise == "I1"):
        job = await plant(store, await finished(store))
        async with snapshot(store.db.client, store.db) as database:
            case = await read_case(database, job)
        remedy = decide(case) if case else None
        assert isinstance(remedy, Remedy)
        await store.repair(AT_ONCE)  # somebody else was faster
        async with running(store, COUNTING):
            await until(store, job)
        before = await dump(store)
        async with committing(store) as commits:
            [result] = await commits.commit([remedy.change])
        assert isinstance(result, LeaseLost)
        assert await dump(store) == before


async def test_repairs_beside_live_workers_find_nothing_to_repair(
    store: Store, store_settings: StoreSettings
) -> None:
    client, repairs = Client(store), list[Repair]()
    async with Store(store_settings) as other, running(store, COUNTING), running(other, COUNTING):
        jobs = [(await submit(client, "counting")).id for _ in range(40)]
        async with anyio.create_task_group() as group:

            async def repair() -> None:
                while True:
                    # Uploads are under way here: an age of zero would be a lie.
                    repairs.extend((await store.repair()).repairs)

            group.start_soon(repair)
            for job in jobs[:10]:
                await until(store, job)
                await client.retry(job, "count")
            for job in jobs:
                assert (await until(store, job)).state == "succeeded"
            group.cancel_scope.cancel()
    assert repairs == []
    assert await violations(store) == {}


async def test_two_repairs_at_once_repair_everything_once(store: Store) -> None:
    await finished(store)
    jobs = await admitted(store, 12)
    await store.db["tasks"].delete_many({"job": {"$in": jobs[:4]}})
    failed = {"state": "failed", "errors": [ERROR]}
    await store.db["tasks"].update_many({"job": {"$in": jobs[4:8]}}, {"$set": failed})
    await store.db["jobs"].update_many({"_id": {"$in": jobs[8:]}}, {"$set": {"state": "cancelled"}})
    repairs: list[Repair] = []

    async def repair() -> None:
        repairs.extend((await store.repair(AT_ONCE)).repairs)

    async with running(store, COUNTING), anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(repair)
    with anyio.fail_after(60):
        while await violations(store):  # the worker was faster with something: nothing was repaired there
            await repair()
    assert sum(each.repaired for each in repairs) == len(jobs)
