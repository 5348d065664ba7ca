"""A plain stage function that never returns keeps no worker from stopping."""

import signal

import anyio

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.support import submit, until, worker_process


async def test_sigterm_ends_a_worker_beside_a_thread_that_hangs(
    store: Store, store_settings: StoreSettings
) -> None:
    async with worker_process(store_settings, "tests.crash.hanging:HANGING") as process:
        job = await submit(Client(store), "hanging")
        view = await until(store, job.id)
        assert view.error is not None
        assert "timeout" in view.error.message
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(60):
            assert await process.wait() == 0
