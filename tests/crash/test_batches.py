"""A process is killed before it ends a batch, or while it cancels one: the next does the rest."""

from datetime import timedelta

import anyio

from pipeline.client import Client
from pipeline.crashpoints import VARIABLE
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.batches import AT_ONCE
from pipeline.submission import batch_document, job_document
from tests.integration.test_batches import ended, submit_into
from tests.records import violations
from tests.support import COUNTING, pipeline_of, read, running, worker_process

RARELY = WorkerSettings(reconciliation=timedelta(hours=1))
OTHER = pipeline_of(read, name="other")


async def dies(store: Store, point: str, pipeline: str = "tests.support:COUNTING") -> None:
    async with worker_process(store.settings, pipeline, **{VARIABLE: point}) as process:
        with anyio.fail_after(60):
            assert await process.wait() == -9


async def test_a_worker_is_killed_after_the_last_job_of_a_batch(store: Store) -> None:
    client = Client(store)
    batch = await client.create_batch(total=2)
    for _ in range(2):
        await submit_into(client, batch.id)
    # It looks for the first time when it starts, while both jobs are open.
    await dies(store, "batch.due:2")
    async with running(store, COUNTING, RARELY):
        assert (await ended(store, batch.id)).state == "succeeded"
    assert await violations(store) == {}


async def test_a_batch_whose_canceller_is_killed_is_cancelled_by_a_worker(store: Store) -> None:
    batch = batch_document(total=2 * AT_ONCE)
    await store.db["batches"].insert_one(batch)
    jobs = [job_document("counting", name="a", content=b"", batch=batch["_id"]) for _ in range(2 * AT_ONCE)]
    await store.db["jobs"].insert_many(jobs)
    await store.batches.ask_to_cancel(batch["_id"], "default")
    await dies(store, "batch.cancelling", "tests.crash.test_batches:OTHER")
    assert (await Client(store).batch(batch["_id"])).jobs.cancelled == AT_ONCE
    async with running(store, OTHER, RARELY):
        view = await ended(store, batch["_id"])
    assert (view.state, view.jobs.cancelled) == ("cancelled", 2 * AT_ONCE)
    assert await violations(store) == {}
