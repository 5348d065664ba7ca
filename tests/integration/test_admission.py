"""Admission: what it begins at once, what it leaves, and that what cannot be admitted stops no worker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pipeline.admitter import Admitter
from pipeline.client import Client
from pipeline.committer import Committer
from pipeline.hosted import Hosted
from pipeline.model import Hold
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.backlog import Backlog
from pipeline.submission import job_document
from tests.records import committing, stored
from tests.support import COUNTING, running, submit, until


async def submitted(store: Store, **options: Any) -> str:
    job = job_document("counting", name="a.txt", content=b"one", **options)
    await store.db["jobs"].insert_one(job)
    return str(job["_id"])


async def waiting(store: Store, limit: int = 10) -> list[dict[str, Any]]:
    return await Backlog(store.db, {"counting": [1]}).best(limit, None, whole=True)


def hold() -> Hold:
    now = datetime.now(UTC)
    return Hold("worker-1", "claim-1", now, now + timedelta(minutes=1))


async def test_a_worker_that_stops_leaves_admissions_to_whoever_comes_next(store: Store) -> None:
    job = await submitted(store)
    async with committing(store) as commits:
        committer = Committer(commits)
        committer.stop()
        await committer.run()
        assert (
            await Admitter(committer, Hosted([COUNTING]), store.vault).admit(await waiting(store), hold())
            == []
        )
    assert [each["_id"] for each in await waiting(store)] == [job]


async def test_what_is_due_is_begun_and_what_is_not_waits_as_a_task(store: Store) -> None:
    due = await submitted(store)
    later = await submitted(store, run_at=datetime.now(UTC) + timedelta(hours=1))
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        group.start_soon(committer.run)
        [task] = await Admitter(committer, Hosted([COUNTING]), store.vault).admit(
            await waiting(store), hold()
        )
        committer.stop()
    assert (task.job, task.attempt, task.fresh) == (due, 1, True)
    begun = await stored(store, task.id)
    assert (begun["state"], begun["lease"]["claim_id"], begun["lease"]["fence"]) == ("running", "claim-1", 1)
    delayed = await stored(store, f"{later}:read:1")
    assert (delayed["state"], delayed["attempt"]) == ("ready", 0)
    assert delayed["lease"]["until"] == delayed["run_at"]
    assert await waiting(store) == []


async def test_the_backlog_is_in_order_of_priority_and_age_whether_a_priority_is_given_or_not(
    store: Store,
) -> None:
    begin = datetime.now(UTC)
    wanted = []
    for number, priority in enumerate([5, 0, None, 0, -3]):
        job = job_document("counting", name="a.txt", content=b"one", priority=priority or 0)
        job["created_at"] = begin + timedelta(seconds=number)
        if priority is None:
            del job["priority"]
        await store.db["jobs"].insert_one(job)
        wanted.append(job["_id"])
    for limit in range(1, 6):
        assert [each["_id"] for each in await waiting(store, limit)] == wanted[:limit]


async def test_a_job_that_was_inserted_past_the_validator_stops_nobody(store: Store) -> None:
    malformed = job_document("counting", name="a.txt", content=b"one")
    del malformed["document"]
    async with running(store, COUNTING):
        await store.db["jobs"].insert_one(malformed, bypass_document_validation=True)
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
    async with running(store, COUNTING):  # which finds it by its first look too
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"


@pytest.mark.parametrize("slots", [1, 4])
async def test_a_malformed_job_at_the_head_holds_nobody_up(store: Store, slots: int) -> None:
    malformed = job_document("counting", name="a.txt", content=b"one", priority=10)
    malformed["document"] = "none"
    await store.db["jobs"].insert_one(malformed, bypass_document_validation=True)
    async with running(store, COUNTING, WorkerSettings(slots=slots)):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
