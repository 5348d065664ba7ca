"""The database refuses malformed jobs from whatever driver, and is installed safely by many at once."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pymongo
import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, WriteError

from pipeline.model import new_job_id
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.schema import INDEXES, INLINE_LIMIT, RELEASE, VALIDATORS
from tests.records import Doc, claimed, committing, completion
from tests.support import COUNTING, running, until

CONTENT = b"one two three"


def minimal() -> Doc:
    """What another language's driver would insert at least."""
    return {
        "_id": new_job_id(),
        "tenant": "default",
        "pipeline": "counting",
        "document": {
            "name": "a.txt",
            "type": "text/plain",
            "size": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "inline": CONTENT,
        },
        "state": "submitted",
        "created_at": datetime.now(UTC),
    }


@pytest.fixture
def jobs(store: Store, store_settings: StoreSettings) -> Any:
    """The collection through plain, synchronous PyMongo, as an application has it."""
    assert store_settings.mongodb_uri is not None
    with pymongo.MongoClient[Doc](store_settings.mongodb_uri.get_secret_value()) as client:
        yield client[store_settings.database]["jobs"]


def without(field: str) -> Callable[[Doc], None]:
    def spoil(job: Doc) -> None:
        *path, last = field.split(".")
        inner = job
        for name in path:
            inner = inner[name]
        del inner[last]

    return spoil


def setting(field: str, value: Any) -> Callable[[Doc], None]:
    def spoil(job: Doc) -> None:
        *path, last = field.split(".")
        inner = job
        for name in path:
            inner = inner[name]
        inner[last] = value

    return spoil


REQUIRED = ["tenant", "pipeline", "document", "state", "created_at"]
REQUIRED += [f"document.{name}" for name in ("name", "type", "size", "sha256", "inline")]

WRONG: list[tuple[str, Any]] = [
    ("_id", ObjectId()),
    ("_id", "default.short"),
    ("_id", f"default.{'a' * 65}"),
    ("_id", "default.0123456789abcdef:read"),
    ("_id", "default.0123456789abcdef\n"),
    ("_id", "other.0123456789abcdef"),
    ("_id", "defaultx.0123456789abcdef"),
    ("tenant", "Default"),
    ("tenant", "default\n"),
    ("tenant", {"$ne": None}),
    ("tenant", 1),
    ("pipeline", "Counting Things"),
    ("pipeline", ""),
    ("pipeline", {"$gt": ""}),
    ("pipeline_version", 0),
    ("pipeline_version", "1"),
    ("stages", "read"),
    ("params", "dpi"),
    ("params", []),
    ("metadata", 1),
    ("priority", 11),
    ("priority", -11),
    ("priority", "high"),
    ("priority", float("nan")),
    ("priority", float("inf")),
    ("priority", Decimal128("1")),
    ("run_at", "tomorrow"),
    ("run_at", 0),
    ("idempotency_key", ""),
    ("idempotency_key", "k" * 256),
    ("idempotency_key", None),
    ("traceparent", 1),
    ("state", "done"),
    ("state", None),
    ("error", "broken"),
    ("created_at", "2026-01-01"),
    ("created_at", None),
    ("surprise", 1),
    ("document.name", ""),
    ("document.name", "n" * 256),
    ("document.type", None),
    ("document.size", -1),
    ("document.size", len(CONTENT) + 1),
    ("document.size", len(CONTENT) - 1),
    ("document.size", str(len(CONTENT))),
    ("document.size", float("nan")),
    ("document.sha256", "0" * 63),
    ("document.sha256", "0" * 64 + "\n"),
    ("document.sha256", "G" * 64),
    ("document.file_id", ObjectId()),
    ("document.inline", "text"),
    ("document.surprise", 1),
]


def _named(case: tuple[str, Any]) -> str:
    return f"{case[0]}={str(case[1])[:24]!r}"


@pytest.mark.parametrize("field", REQUIRED)
def test_a_job_that_lacks_something_is_refused(jobs: Collection[Doc], field: str) -> None:
    job = minimal()
    without(field)(job)
    with pytest.raises(WriteError, match="failed validation"):
        jobs.insert_one(job)


def test_malformed_jobs_are_refused(jobs: Collection[Doc], subtests: pytest.Subtests) -> None:
    for case in WRONG:
        with subtests.test(_named(case)):
            job = minimal()
            setting(*case)(job)
            with pytest.raises(WriteError, match="failed validation"):
                jobs.insert_one(job)


def test_a_document_too_large_to_travel_inside_is_refused(jobs: Collection[Doc]) -> None:
    job = minimal()
    job["document"] |= {"inline": b"x" * INLINE_LIMIT, "size": INLINE_LIMIT}
    jobs.insert_one(job)
    job = minimal()
    job["document"] |= {"inline": b"x" * (INLINE_LIMIT + 1), "size": INLINE_LIMIT + 1}
    with pytest.raises(WriteError, match="failed validation"):
        jobs.insert_one(job)


def test_an_update_cannot_spoil_a_job(jobs: Collection[Doc]) -> None:
    job = minimal()
    jobs.insert_one(job)
    with pytest.raises(WriteError, match="failed validation"):
        jobs.update_one({"_id": job["_id"]}, {"$set": {"state": "paused"}})


def test_an_idempotency_key_is_used_once_by_each_tenant(jobs: Collection[Doc]) -> None:
    jobs.insert_one(minimal() | {"idempotency_key": "k"})
    jobs.insert_one(minimal() | {"_id": new_job_id("other"), "tenant": "other", "idempotency_key": "k"})
    with pytest.raises(OperationFailure, match="E11000"):
        jobs.insert_one(minimal() | {"idempotency_key": "k"})


@pytest.mark.parametrize("number", [int, float, Int64], ids=["int", "double", "long"])
async def test_numbers_of_any_driver_are_accepted_and_the_job_runs(
    jobs: Collection[Doc], store: Store, number: Callable[[int], Any]
) -> None:
    job = minimal() | {"priority": number(3), "pipeline_version": number(1)}
    job["document"]["size"] = number(len(CONTENT))
    jobs.insert_one(job)
    async with running(store, COUNTING):
        view = await until(store, job["_id"])
    assert view.state == "succeeded"
    assert view.priority == 3
    assert (await store.outputs.body(job["_id"], "count", 1)) == {"words": 3}


def test_a_document_in_gridfs_is_accepted(jobs: Collection[Doc]) -> None:
    job = minimal()
    del job["document"]["inline"]
    job["document"]["file_id"] = ObjectId()
    jobs.insert_one(job)
    assert jobs.count_documents({}) == 1


@pytest.mark.parametrize(
    "field", ["job", "stage", "queue", "state", "revision", "run_at", "attempt", "lease"]
)
async def test_an_update_by_hand_cannot_spoil_a_task(store: Store, field: str) -> None:
    """Workers and the audit rely on what every task has, also on tasks that the engine has written to."""
    [task] = await claimed(store)
    async with committing(store) as commits:
        assert await commits.commit([await completion(store, task)]) == [None]
    with pytest.raises(WriteError, match="failed validation"):
        await store.db["tasks"].update_one({"_id": task.id}, {"$unset": {field: ""}})


async def test_installing_again_changes_nothing(store: Store) -> None:
    assert await store.install() == []


async def test_an_index_of_a_large_collection_has_the_time_that_it_takes(store: Store) -> None:
    """The server aborts one that is not ready in the time which the driver tells it."""
    await store.db.command("profile", 2)
    await store.deadlines.index()
    await store.db.command("profile", 0)
    [made] = await store.db["system.profile"].find({"command.createIndexes": "jobs"}).to_list()
    assert timedelta(milliseconds=made["command"]["maxTimeMS"]) > 100 * store.settings.timeout


async def test_many_may_install_at_once(store_settings: StoreSettings) -> None:
    async with Store(store_settings) as store:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(store.install)
        assert await store.install() == []
        for name, indexes in INDEXES.items():
            present = await store.db[name].index_information()
            assert {model.document["name"] for model in indexes} <= set(present)
        await store.db.client.drop_database(store_settings.database)


async def test_what_is_missing_or_outdated_is_put_right(store: Store) -> None:
    await store.db["tasks"].drop_index("claim")
    await store.db["tasks"].create_index("run_at", name="due")
    await store.db.drop_collection("keys")
    await store.db.command("collMod", "jobs", validator={})
    assert set(await store.install()) == {
        "created index tasks.claim",
        "dropped index tasks.due",
        "created keys",
        "changed the validator of jobs",
    }
    options = {each["name"]: each["options"] async for each in await store.db.list_collections()}
    assert options["jobs"]["validator"] == VALIDATORS["jobs"]


async def test_what_a_later_release_has_installed_is_not_set_back(store: Store) -> None:
    later = {"$jsonSchema": {"title": f"Millrace, validators of release {RELEASE + 1}"}}
    await store.db.command("collMod", "jobs", validator=later)
    assert await store.install() == []
    earlier = {"$jsonSchema": {"title": f"Millrace, validators of release {RELEASE - 1}"}}
    await store.db.command("collMod", "jobs", validator=earlier)
    assert await store.install() == ["changed the validator of jobs"]
