"""A job that was admitted can be found by its deadline, whatever happens to the worker that admitted it."""

from datetime import UTC, datetime, timedelta

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.crash.dying import WORKER, dies_at, worker
from tests.support import submit, until


async def test_a_job_whose_worker_was_killed_right_after_admitting_it_fails_in_time(
    store: Store, store_settings: StoreSettings
) -> None:
    """It was the first with a deadline: nobody else makes an index for a job that runs."""
    job = await submit(Client(store), "chain", deadline=datetime.now(UTC) + timedelta(seconds=4))
    await dies_at(store_settings, "commit.done", WORKER, "dead", MILLRACE_WORKER_LISTEN="false")
    assert "deadline" in await store.db["jobs"].index_information()
    async with worker(store_settings, "another", MILLRACE_WORKER_LEASE="300"):
        view = await until(store, job.id)
    assert view.error is not None
    assert view.error.type == "DeadlineExceeded"
