"""A worker that is told to stop while the database is away leaves in time; what it held is not lost."""

import os
import signal
from pathlib import Path

import anyio

from pipeline.client import Client
from pipeline.embedded import Embedded
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.crash.pages import TRACE
from tests.crash.test_kill import HELD_AT, held_job, ran
from tests.records import violations
from tests.support import until, worker_process

PAGES = "tests.crash.pages:PAGES"


async def test_sigterm_while_the_database_is_away(
    mongod: Embedded, store: Store, store_settings: StoreSettings, tmp_path: Path
) -> None:
    gate, trace = tmp_path / f"gate-{HELD_AT}", tmp_path / "trace"
    os.mkfifo(gate)
    told = {TRACE: str(trace), "MILLRACE_WORKER_LEASE": "2", "MILLRACE_WORKER_GRACE": "0"}
    async with worker_process(store_settings, PAGES, MILLRACE_TIMEOUT="2", **told) as process:
        job = await held_job(store, trace)
        os.kill(mongod.pid, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(60):
                assert await process.wait() == 0
        finally:
            os.kill(mongod.pid, signal.SIGCONT)
    gate.unlink()
    async with worker_process(store_settings, PAGES, **told):
        view = await until(store, job)
    assert view.state == "succeeded"
    assert sorted(ran(trace)) == [1, 2, 3, 4, 4, 5, 6]
    assert await violations(store) == {}
    assert await Client(store).output(job, "total") == {"total": 91}
