"""What cannot be admitted stops no worker."""

import anyio

from pipeline.admitter import Admitter
from pipeline.client import Client
from pipeline.committer import Committer
from pipeline.store import Store
from pipeline.submission import job_document
from tests.records import committing
from tests.support import COUNTING, running, submit, until


async def test_a_worker_that_stops_leaves_admissions_to_whoever_comes_next(store: Store) -> None:
    job = job_document("counting", name="a.txt", content=b"one")
    settled: list[str] = []
    async with committing(store) as commits:
        committer = Committer(commits)
        committer.stop()
        async with anyio.create_task_group() as group:
            Admitter(committer, {"counting": COUNTING}, settled.append).admit_soon(group, job["_id"], job)
    assert settled == []  # or its position would move past the job


async def test_a_job_that_was_inserted_past_the_validator_stops_nobody(store: Store) -> None:
    malformed = job_document("counting", name="a.txt", content=b"one")
    del malformed["document"]
    async with running(store, COUNTING):
        await store.db["jobs"].insert_one(malformed, bypass_document_validation=True)
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
    async with running(store, COUNTING):  # which finds it by its reconciliation too
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
