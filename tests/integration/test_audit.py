"""The audit names every broken promise, and no other. Each is broken here by a direct write."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from pipeline.client import Client
from pipeline.store import Store
from pipeline.store.audit import EXAMPLES
from pipeline.store.changes import STATES
from pipeline.store.outputs import LARGE_BODY
from tests.records import admitted, claimed, committing, completion, violations
from tests.support import COUNTING, pieces, running, submit, until

Plant = Callable[[Store, str], Awaitable[Any]]
PLANTS: list[tuple[set[str], Plant]] = []


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
    findings = await store.audit()
    assert [each.promise for each in findings] == ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"]
    assert [each for each in findings if each.violations] == []
    assert all(each.checked for each in findings)


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
    await store.db["jobs"].update_one({"_id": other}, {"$set": {"state": "failed"}})


@breaks("I1", "I3")
async def a_job_that_succeeded_without_its_last_stage(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"stages": ["read", "count", "report"]}})


@breaks("I2")
async def a_success_without_its_output(store: Store, job: str) -> None:
    await store.db["outputs"].delete_one({"_id": f"{job}:count:1"})


@breaks("I2")
async def an_output_of_a_task_that_has_not_succeeded(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"state": "failed"}})
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$set": {"state": "failed"}})


@breaks("I3", "I4", "I1")
async def a_success_without_its_successor(store: Store, job: str) -> None:
    await store.db["tasks"].delete_one({"_id": f"{job}:count:1"})


@breaks("I3")
async def a_successor_of_a_task_that_has_not_succeeded(store: Store, job: str) -> None:
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"state": "failed"}})
    await store.db["tasks"].update_one({"_id": f"{job}:read:1"}, {"$set": {"state": "failed"}})
    await store.db["outputs"].delete_one({"_id": f"{job}:read:1"})
    await store.db["outputs"].update_one(
        {"_id": f"{job}:count:1"}, [{"$set": {"input_sha256": await _document_sha256(store, job)}}]
    )


async def _document_sha256(store: Store, job: str) -> str:
    found = await store.db["jobs"].find_one({"_id": job}) or {}
    return str(found["document"]["sha256"])


@breaks("I3")
async def a_task_without_a_job(store: Store, job: str) -> None:
    [other] = await admitted(store)
    await store.db["jobs"].delete_one({"_id": other})


@breaks("I4")
async def an_output_under_an_older_lease(store: Store, job: str) -> None:
    await store.db["tasks"].update_one({"_id": f"{job}:count:1"}, {"$inc": {"lease.fence": 1}})


@breaks("I4")
async def an_output_without_a_task(store: Store, job: str) -> None:
    output = await store.db["outputs"].find_one({"_id": f"{job}:read:1"}) or {}
    await store.db["outputs"].insert_one({**output, "_id": f"{job}:read:2", "revision": 2})


@breaks("I5")
async def an_output_made_from_something_else(store: Store, job: str) -> None:
    await store.db["outputs"].update_one({"_id": f"{job}:read:1"}, {"$set": {"input_sha256": "0" * 64}})


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
async def a_large_output_that_is_gone(store: Store, job: str) -> None:
    [task] = await claimed(store)
    async with committing(store) as commits:
        await commits.commit([await completion(store, task, {"text": "x" * (LARGE_BODY + 1)})])
    output = await store.db["outputs"].find_one({"_id": task.id}) or {}
    await store.documents.discard(output["file_id"])


@breaks("I8")
async def a_gap_that_is_open(store: Store, job: str) -> None:
    await store.listeners.open_gap("worker/counting", "82", STATES, lost=None, why="planted")


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
