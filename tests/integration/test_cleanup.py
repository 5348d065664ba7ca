"""Ended jobs go after their tenant's retention, with everything of theirs and nothing of others'."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from bson import ObjectId

from pipeline import Document, StageContext, stage
from pipeline.cleanup import ORPHAN_GRACE, cleanup
from pipeline.client import Client
from pipeline.errors import LeaseLost, NotFound
from pipeline.scheduler import Keep
from pipeline.store import Store
from pipeline.store.documents import INLINE_BYTES
from pipeline.timetable import Timetable
from tests.integration.test_schedules import NEVER, set_due, when
from tests.records import claimed, committing, violations
from tests.support import COUNTING, Text, pieces, pipeline_of, running, submit, until

AT_ONCE, MONTH = timedelta(0), timedelta(days=30)
EVERYTHING = ("jobs", "tasks", "outputs", "checkpoints", "uploads", "documents.files", "documents.chunks")


@stage(name="parts")
async def parts(document: Document, context: StageContext) -> Text:
    """Save parts; of a document that says so, write an output that goes to GridFS."""
    saved = await context.each(["a", "b"], _part, str, unit="part")
    large = (await document.read()).startswith(b"large")
    return Text(text="".join(saved) * (4_500_000 if large else 1))


async def _part(part: str) -> str:
    return part


PARTS = pipeline_of(parts, name="parts")


async def keep() -> None:
    """Nobody else cleans."""


async def clean(store: Store, keep: Keep = keep, **options: Any) -> Mapping[str, int]:
    async with committing(store) as commits:
        return await cleanup(store, commits, keep, **options)


async def remove(store: Store, job: str) -> bool:
    async with committing(store) as commits:
        return await store.cleanup.remove_job(job, AT_ONCE, commits)


async def count(store: Store) -> dict[str, int]:
    counted = {name: await store.db[name].count_documents({}) for name in EVERYTHING}
    return {name: number for name, number in counted.items() if number}


@pytest.fixture
async def ended(store: Store) -> Store:
    """Jobs with a document in GridFS and checkpoints, the only ones of a batch; and a cancelled one."""
    client = Client(store)
    batch = await client.create_batch(total=2)
    async with running(store, PARTS):
        for _ in range(2):
            job = await submit(client, "parts", b"x" * (INLINE_BYTES + 1), batch=batch.id)
            await until(store, job.id)
    await store.jobs.cancel((await submit(client, "counting")).id, "default")
    return store


async def test_by_default_everything_is_kept(ended: Store) -> None:
    before = await count(ended)
    assert await clean(ended) == {"jobs": 0, "batches": 0, "files": 0}
    assert await count(ended) == before
    assert await Timetable(ended).retention() is None


async def test_an_ended_job_goes_with_everything_of_its_own(ended: Store) -> None:
    [task] = await claimed(ended)
    async with running(ended, PARTS):
        job = await submit(Client(ended), "parts", b"large")
        assert (await until(ended, job.id)).state == "succeeded"
    assert await ended.db["outputs"].count_documents({"file_id": {"$exists": True}}) == 1
    await Timetable(ended).set_retention(AT_ONCE)
    assert await clean(ended) == {"jobs": 4, "batches": 1, "files": 0}
    assert await count(ended) == {"jobs": 1, "tasks": 1}
    assert (await Client(ended).get(task.job)).state == "running"
    assert await Client(ended).batches() == []
    assert await violations(ended) == {}


async def test_what_has_not_ended_for_so_long_and_other_tenants_jobs_stay(ended: Store) -> None:
    stranger = Client(ended, "stranger")
    other = await submit(stranger, "counting")
    await stranger.cancel(other.id)
    await Timetable(ended).set_retention(MONTH)
    await Timetable(ended, "stranger").set_retention(None)
    before = await count(ended)
    assert await clean(ended) == {"jobs": 0, "batches": 0, "files": 0}
    assert await count(ended) == before
    long_ago = {"$set": {"finished_at": datetime.now(UTC) - MONTH}}
    await ended.db["jobs"].update_one({"tenant": "stranger"}, long_ago)
    [old, *_] = await Client(ended).jobs(state="succeeded")
    await ended.db["jobs"].update_one({"_id": old.id}, long_ago)
    assert (await clean(ended))["jobs"] == 1
    with pytest.raises(NotFound):
        await Client(ended).get(old.id)
    assert (await stranger.get(other.id)).state == "cancelled"
    assert await violations(ended) == {}


async def test_a_job_that_is_run_again_meanwhile_is_left_alone(ended: Store) -> None:
    [job, *_] = await Client(ended).jobs(state="succeeded")
    await Client(ended).retry(job.id, "parts")
    assert not await remove(ended, job.id)
    async with running(ended, PARTS):
        assert (await until(ended, job.id)).state == "succeeded"
    assert await violations(ended) == {}


async def test_verify_finds_nothing_while_it_runs(ended: Store) -> None:
    """Whatever it sees, it sees between two removals, files included."""
    await Timetable(ended).set_retention(AT_ONCE)
    found: list[dict[str, int]] = []
    done = anyio.Event()

    async def verify() -> None:
        while not done.is_set():
            found.append(await violations(ended))

    async with anyio.create_task_group() as group:
        group.start_soon(verify)
        assert (await clean(ended))["jobs"] == 3
        done.set()
    assert found
    assert not any(found)


async def test_files_of_nobody_go_after_the_grace_period_and_others_stay(ended: Store) -> None:
    orphan = await ended.documents.store("default", "orphan", pieces(b"x"))
    await ended.documents.settle(orphan.file_id)
    kept = await Client(ended).receive(pieces(b"x" * (INLINE_BYTES + 1)), "kept")
    await Timetable(ended).put_job("yearly", kept, "kept", cron=NEVER, pipeline="counting")
    uploading = await ended.documents.store("default", "uploading", pieces(b"x"))
    assert timedelta(days=1) <= ORPHAN_GRACE
    assert (await clean(ended))["files"] == 0
    assert (await clean(ended, grace=AT_ONCE))["files"] == 1
    left = {each["_id"] async for each in ended.db["documents.files"].find({}, {"_id": 1})}
    assert orphan.file_id not in left
    assert uploading.file_id in left
    assert await violations(ended) == {}


async def test_who_has_lost_the_task_stops(ended: Store) -> None:
    async def lost() -> None:
        raise LeaseLost

    await Timetable(ended).set_retention(AT_ONCE)
    with pytest.raises(LeaseLost):
        await clean(ended, lost)
    assert (await count(ended))["jobs"] == 3


async def test_it_is_run_by_a_schedule_once_and_tells_what_it_did(ended: Store) -> None:
    timetable = Timetable(ended)
    await timetable.set_retention(AT_ONCE)
    await timetable.put_task("tidy", "cleanup", cron=NEVER)
    async with running(ended, COUNTING), running(ended, PARTS):
        await set_due(ended, datetime.now(UTC), "tidy")
        found: Any = await when(ended, lambda each: "finished_at" in (each.get("last") or {}), "tidy")
    assert (found["fired"], found["running"]) == (1, None)
    assert found["last"]["done"] == {"jobs": 3, "batches": 1, "files": 0}
    assert await count(ended) == {}


async def test_a_job_whose_document_is_gone_already_is_removed(ended: Store) -> None:
    [job, *_] = await Client(ended).jobs(state="succeeded")
    await ended.db["jobs"].update_one({"_id": job.id}, {"$set": {"document.file_id": ObjectId()}})
    assert await remove(ended, job.id)
