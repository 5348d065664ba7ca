"""The audit names every broken promise, and no other. Each is broken here by a direct write."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket

from pipeline import PermanentError, StageContext, stage
from pipeline.client import Client
from pipeline.errors import StoreError
from pipeline.store import Store
from pipeline.store.audit import EXAMPLES
from pipeline.store.changes import WORK
from pipeline.store.documents import CHUNK_BYTES
from pipeline.store.outputs import LARGE_BODY
from pipeline.store.scan import PAGE, scan, snapshot
from pipeline.submission import job_document
from pipeline.transitions import checkpoint
from pipeline.updates import MAX_ERRORS
from tests.records import (
    AT_ONCE,
    MINUTE,
    admitted,
    claimed,
    committing,
    completion,
    queue,
    stored,
    violations,
)
from tests.support import COUNTING, Count, count, pieces, pipeline_of, read, running, submit, until

Plant = Callable[[Store, str], Awaitable[Any]]
PLANTS: list[tuple[set[str], Plant]] = []
ERROR = {"type": "Planted", "message": "planted"}


def breaks(*promises: str) -> Callable[[Plant], Plant]:
    """Register a planted violation, with every promise that it breaks."""

    def register(plant: Plant) -> Plant:
        PLANTS.append((set(promises), plant))
        return plant

    return register


async def test_a_database_in_use_breaks_no_promise(store: Store) -> None:
    client = Client(store)
    async with running(store, COUNTING):
        done = await submit(client, "counting")
        await until(store, done.id)
    await submit(client, "counting")
    await submit(client, "unknown")
    await admitted(store, 2)
    await claimed(store)
    cancelled = await submit(client, "counting")
    await client.cancel(cancelled.id)
    await client.upload(pieces(b"not submitted yet"), "a.txt")
    findings = {each.promise: each for each in await store.audit(AT_ONCE)}
    assert list(findings) == ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"]
    assert [each for each in findings.values() if each.violations] == []
    webhooks = findings.pop("I9")
    assert (webhooks.checked, "no webhooks are sent yet" in webhooks.title) == (0, True)
    assert all(each.checked for each in findings.values())


async def test_jobs_whose_ids_begin_alike_have_their_own_tasks_each(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a0` comes before `a:`, where the tasks of `a` begin; and each page of the audit has one of them."""
    monkeypatch.setattr("pipeline.store.scan.PAGE", 1)
    ids = [f"default.{'a' * 16}{end}" for end in ("", "0", "-", "a", "a0")]
    async with running(store, COUNTING):
        for job in ids:
            await store.db["jobs"].insert_one(
                {**job_document("counting", name="a", content=b"one two"), "_id": job}
            )
        for job in ids:
            await until(store, job)
    assert await violations(store) == {}
    await store.db["tasks"].delete_one({"_id": f"{ids[0]}:count:1"})
    broken = {each.promise: each.examples for each in await store.audit(AT_ONCE) if each.violations}
    assert (broken["I1"], broken["I3"]) == ([ids[0]], [f"{ids[0]}:read:1"])


async def test_a_job_that_is_run_again_from_any_stage_breaks_no_promise(store: Store) -> None:
    again = anyio.Event()

    @stage(name="judge")
    async def judge(count: Count, context: StageContext) -> Count:
        if not again.is_set():
            raise PermanentError("not yet")
        return count

    judging = pipeline_of(read, count, judge)
    client = Client(store)
    async with running(store, judging):
        job = await submit(client, "test")
        assert (await until(store, job.id)).state == "failed"
        assert await violations(store) == {}
        for name, state in (("count", "failed"), ("judge", "succeeded"), ("read", "succeeded")):
            if state == "succeeded":
                again.set()
            await client.retry(job.id, name)
            assert await violations(store) == {}
            assert (await until(store, job.id)).state == state
            assert await violations(store) == {}
    cancelled = await submit(client, "test")
    await client.cancel(cancelled.id)
    tasks = store.db["tasks"]
    assert [
        (each["stage"], each["revision"], each["state"])
        async for each in tasks.find({"job": job.id}).sort([("revision", 1), ("created_at", 1)])
    ] == [
        ("read", 1, "succeeded"),
        ("count", 1, "succeeded"),
        ("judge", 1, "failed"),
        ("count", 2, "succeeded"),
        ("judge", 2, "failed"),
        ("judge", 3, "succeeded"),
        ("read", 4, "succeeded"),
        ("count", 4, "succeeded"),
        ("judge", 4, "succeeded"),
    ]


@breaks("I1")
async def a_running_job_without_an_open_task(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"state": "running"}})


@breaks("I1")
async def a_submitted_job_with_a_task(store: Store, job: str) -> None:
    [other] = await admitted(store)
    await store.db["jobs"].update_one({"_id": other}, {"$set": {"state": "submitted"}})


@breaks("I1")
async def two_open_tasks(store: Store, job: str) -> None:
    [other] = await admitted(store)
    task = await store.db["tasks"].find_one({"job": other}) or {}
    await store.db["tasks"].insert_one({**task, "_id": f"{other}:read:2", "revision": 2})


@breaks("I1")
async def an_ended_job_with_an_open_task(store: Store, job: str) -> None:
    [other] = await admitted(store)
    await store.db["jobs"].update_one({"_id": other}, {"$set": {"state": "cancelled"}})


@breaks("I1")
async def an_open_task_of_an_older_revision(store: Store, job: str) -> None:
    [other] = await admitted(store)
    await store.db["jobs"].update_one({"_id": other}, {"$set": {"revision": 2}})


@breaks("I1")
async def a_task_of_a_later_revision(store: Store, job: str) -> None:
    task = await stored(store, f"{job}:read:1")
    later = {"_id": f"{job}:read:2", "revision": 2, "state": "cancelled"}
    await store.db["tasks"].insert_one({**task, **later})


@breaks("I1")
async def a_success_of_an_older_revision(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"revision": 2}})


@breaks("I1", "I3")
async def a_job_that_succeeded_without_its_last_stage(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"stages": ["read", "count", "report"]}})


@breaks("I2")
async def a_success_without_its_output(store: Store, job: str) -> None:
    await store.db["outputs"].delete_one({"_id": f"{job}:count:1"})


@breaks("I2")
async def an_output_of_a_task_that_has_not_succeeded(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"state": "failed", "error": ERROR}})
    failed = {"state": "failed", "errors": [ERROR]}
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$set": failed})


@breaks("I1", "I2", "I3")
async def a_success_without_its_successor(store: Store, job: str) -> None:
    await store.db["tasks"].delete_one({"_id": f"{job}:count:1"})


@breaks("I2", "I3")
async def a_successor_of_a_task_that_has_not_succeeded(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"state": "cancelled"}})
    await store.db["tasks"].update_one({"_id": f"{job}:read:1"}, {"$set": {"state": "cancelled"}})


@breaks("I3")
async def a_task_without_a_job(store: Store, job: str) -> None:
    [other] = await admitted(store)
    await store.db["jobs"].delete_one({"_id": other})


@breaks("I4")
async def an_output_under_an_older_lease(store: Store, job: str) -> None:
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$inc": {"lease.fence": 1}})


@breaks("I4")
async def a_checkpoint_of_a_later_lease(store: Store, job: str) -> None:
    await save_part(store, fence=2)


@breaks("I4")
async def a_checkpoint_of_no_lease(store: Store, job: str) -> None:
    part = await save_part(store)
    await store.db["checkpoints"].update_one({"_id": part}, {"$unset": {"fence": ""}})


@breaks("I4")
async def a_checkpoint_without_a_task(store: Store, job: str) -> None:
    part = await save_part(store)
    await store.db["checkpoints"].update_one({"_id": part}, {"$set": {"task": f"{job}:read:2"}})


async def save_part(store: Store, **wrong: int) -> str:
    """A checkpoint as the engine writes it; returns its id."""
    [task] = await claimed(store)
    async with committing(store) as commits:
        assert await commits.commit([checkpoint(task, "page 1", {"text": "x"}, None, MINUTE)]) == [None]
    part = f"{task.id}/page 1"
    assert await violations(store) == {}
    if wrong:
        await store.db["checkpoints"].update_one({"_id": part}, {"$set": wrong})
    return part


@breaks("I2")
async def an_output_without_a_task(store: Store, job: str) -> None:
    output = await store.db["outputs"].find_one({"_id": f"{job}:read:1"}) or {}
    await store.db["outputs"].insert_one({**output, "_id": f"{job}:read:2", "revision": 2})


@breaks("I5")
async def an_output_made_from_something_else(store: Store, job: str) -> None:
    await store.db["outputs"].update_one({"_id": f"{job}:read:1"}, {"$set": {"input_sha256": "0" * 64}})


@breaks("I5")
async def a_task_whose_input_is_another(store: Store, job: str) -> None:
    other = {"$set": {"input.sha256": "0" * 64}}
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, other)
    await store.db["outputs"].update_one({"_id": f"{job}:count:1"}, {"$set": {"input_sha256": "0" * 64}})


@breaks("I5")
async def a_task_whose_input_is_not_of_the_stage_before(store: Store, job: str) -> None:
    output = await store.db["outputs"].find_one({"_id": f"{job}:count:1"}) or {}
    own = {"input": {"output": f"{job}:count:1", "sha256": output["sha256"]}}
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$set": own})
    await store.db["outputs"].update_one(
        {"_id": f"{job}:count:1"}, {"$set": {"input_sha256": output["sha256"]}}
    )


@breaks("I1", "I5")
async def a_task_that_builds_on_an_output_that_is_not_there(store: Store, job: str) -> None:
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$set": {"inputs": {"read": 2}}})


@breaks("I1", "I5")
async def a_task_that_does_not_say_what_it_builds_on(store: Store, job: str) -> None:
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$set": {"inputs": {}}})


@breaks("I6")
async def more_errors_than_are_kept(store: Store, job: str) -> None:
    await store.db["tasks"].update_one(
        {"_id": f"{job}:read:1"},
        {"$set": {"errors": [ERROR] * (MAX_ERRORS + 1)}},
        bypass_document_validation=True,
    )


@breaks("I6")
async def a_failed_task_that_does_not_say_why(store: Store, job: str) -> None:
    [other] = await admitted(store)
    await store.db["jobs"].update_one({"_id": other}, {"$set": {"state": "failed", "error": ERROR}})
    await store.db["tasks"].update_one({"job": other}, {"$set": {"state": "failed"}})


@breaks("I6")
async def a_failed_job_that_does_not_say_why(store: Store, job: str) -> None:
    other = await submit(Client(store), "counting")
    await store.db["jobs"].update_one({"_id": other.id}, {"$set": {"state": "failed"}})


@breaks("I6")
async def an_attempt_too_many(store: Store, job: str) -> None:
    await store.db["tasks"].update_one({"_id": f"{job}:read:1"}, {"$set": {"attempt": 4}})


@breaks("I7")
async def a_file_of_nobody(store: Store, job: str) -> None:
    stored = await store.documents.store("default", "a", pieces(b"x"))
    await store.documents.settle(stored.file_id)


@breaks("I7")
async def chunks_of_nobody(store: Store, job: str) -> None:
    await store.db["documents.chunks"].insert_one({"files_id": ObjectId(), "n": 0, "data": b"x"})


@breaks("I7")
async def a_document_that_is_gone(store: Store, job: str) -> None:
    found = await store.db["jobs"].find_one({"_id": job}) or {}
    await store.documents.discard(found["document"]["file_id"])


@breaks("I7")
async def a_document_that_is_cut_short(store: Store, job: str) -> None:
    found = await store.db["jobs"].find_one({"_id": job}) or {}
    file_id = found["document"]["file_id"]
    await store.db["documents.files"].update_one({"_id": file_id}, {"$inc": {"length": -1}})


@breaks("I7")
async def a_document_without_its_bytes(store: Store, job: str) -> None:
    await store.db["documents.chunks"].delete_many({})


@breaks("I7")
async def a_document_without_its_middle(store: Store, job: str) -> None:
    large = await submit(Client(store), "unknown", b"x" * (3 * CHUNK_BYTES))
    found = await store.db["jobs"].find_one({"_id": large.id}) or {}
    file_id = found["document"]["file_id"]
    assert (await store.db["documents.chunks"].delete_one({"files_id": file_id, "n": 1})).deleted_count == 1


@breaks("I7")
async def a_document_with_a_short_chunk(store: Store, job: str) -> None:
    found = await store.db["jobs"].find_one({"_id": job}) or {}
    chunk = {"files_id": found["document"]["file_id"]}
    await store.db["documents.chunks"].update_one(chunk, {"$set": {"data": b"one"}})


@breaks("I7")
async def a_document_with_a_chunk_out_of_place(store: Store, job: str) -> None:
    found = await store.db["jobs"].find_one({"_id": job}) or {}
    chunk = {"files_id": found["document"]["file_id"]}
    await store.db["documents.chunks"].update_one(chunk, {"$set": {"n": 1}})


@breaks("I7")
async def a_large_output_that_is_gone(store: Store, job: str) -> None:
    [task] = await claimed(store)
    async with committing(store) as commits:
        await commits.commit([await completion(store, task, {"text": "x" * (LARGE_BODY + 1)})])
    output = await store.db["outputs"].find_one({"_id": task.id}) or {}
    await store.documents.discard(output["file_id"])


@breaks("I8")
async def a_gap_that_is_open(store: Store, job: str) -> None:
    await store.listeners.open_gap("worker/counting", "82", WORK, lost=None, why="planted")


@breaks("I8")
async def a_token_before_a_closed_gap(store: Store, job: str) -> None:
    await store.listeners.open_gap("worker/other", "83", WORK, lost=None, why="planted")
    [role] = [each for each in await store.listeners.list() if each["_id"] == "worker/other"]
    await store.listeners.close_gap("worker/other", role["gap"], 0)
    assert await violations(store) == {}
    await store.db["listeners"].update_one({"_id": "worker/other"}, {"$set": {"token": "82"}})


@pytest.mark.parametrize(
    ("promises", "plant"),
    PLANTS,
    ids=[getattr(plant, "__name__", "") for _, plant in PLANTS],
)
async def test_a_broken_promise_is_named(store: Store, promises: set[str], plant: Plant) -> None:
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        await until(store, job.id)
    assert await violations(store) == {}
    await plant(store, job.id)
    assert set(await violations(store)) == promises


async def test_a_finding_counts_all_and_shows_some(store: Store) -> None:
    ids = await admitted(store, EXAMPLES + 3)
    await store.db["tasks"].delete_many({})
    finding = (await store.audit())[0]
    assert (finding.promise, finding.checked, finding.violations) == ("I1", len(ids), len(ids))
    assert len(finding.examples) == EXAMPLES
    assert set(finding.examples) <= set(ids)


async def test_bytes_that_nobody_refers_to_yet_have_a_period_of_grace(store: Store) -> None:
    bucket = AsyncGridFSBucket(store.db, "documents")  # as a client does that has only a driver
    await bucket.upload_from_stream("a.txt", b"one two three")
    await store.db["documents.chunks"].insert_one({"files_id": ObjectId(), "n": 0, "data": b"x"})
    assert await violations(store, timedelta(hours=1)) == {}
    assert await violations(store, AT_ONCE) == {"I7": 2}


async def test_outputs_as_large_as_a_document_holds_are_looked_at(store: Store) -> None:
    await admitted(store)
    async with committing(store) as commits:
        for position in (0, 1):
            [task] = await store.tasks.claim([queue(COUNTING, position)], 1, "worker-1", MINUTE)
            body = {"text": "x" * (LARGE_BODY - 100)}
            assert await commits.commit([await completion(store, task, body)]) == [None]
    assert await violations(store) == {}


async def test_an_empty_document_is_whole(store: Store) -> None:
    await submit(Client(store), "counting", b"")
    assert await violations(store) == {}


async def test_ids_of_several_types_and_more_than_a_page_are_all_looked_at(store: Store) -> None:
    files = store.db["documents.files"]
    await files.insert_many([{"_id": number} for number in range(PAGE)])
    await files.insert_many([{"_id": kind} for kind in ("text", ObjectId(), b"binary", {"a": 1})])
    async with snapshot(store.db.client, store.db) as database:
        pages = [page async for page in scan("documents.files", [{"$match": {"_id": {"$ne": 7}}}])(database)]
    assert [(page.checked, len(page.violating)) for page in pages] == [(PAGE, PAGE - 1), (4, 4)]


async def test_a_snapshot_that_got_too_old_says_what_to_do(store: Store) -> None:
    admin, window = store.db.client.admin, "minSnapshotHistoryWindowInSeconds"

    async def read_on() -> None:
        async with snapshot(store.db.client, store.db) as database:
            while True:
                assert [row async for row in database.rows("tasks", [])]
                await store.db["padding"].insert_one({})

    await admitted(store)
    before = (await admin.command({"getParameter": 1, window: 1}))[window]
    await admin.command({"setParameter": 1, window: 0})
    try:
        with anyio.fail_after(60), pytest.raises(StoreError, match=window):
            await read_on()
    finally:
        await admin.command({"setParameter": 1, window: before})


async def test_every_lookup_uses_an_index(store: Store) -> None:
    jobs = 100
    tasks = await claimed(store, jobs)
    async with committing(store) as commits:
        parts = [checkpoint(task, "page 1", {"text": "x"}, None, MINUTE) for task in tasks]
        assert set(await commits.commit(parts)) == {None}
        assert set(await commits.commit([await completion(store, task) for task in tasks])) == {None}
    for _ in range(jobs):
        await submit(Client(store), "unknown")
    await store.db.command("profile", 2)
    assert await violations(store) == {}
    await store.db.command("profile", 0)
    walked = [
        (each["ns"], each["docsExamined"])
        async for each in store.db["system.profile"].find({"command.aggregate": {"$exists": True}})
    ]
    assert len(walked) > 20
    # A lookup without an index would look at a hundred documents for each of a hundred.
    assert [each for each in walked if each[1] > 10 * jobs] == []
