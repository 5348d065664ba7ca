"""A process that is killed inside a transaction leaves a job locked: nobody else has to wait for it."""

from pathlib import Path

import pytest

from pipeline.settings import StoreSettings
from tests.crash.chain import GATE, HOLD, STAGES
from tests.crash.dying import begin, dies_at, sound, trip, worker
from tests.support import until

ONCE_EACH = dict.fromkeys(STAGES, 1)


@pytest.mark.parametrize("point", ["cancel.written"])
async def test_a_job_that_a_killed_client_left_locked_holds_no_other_up(
    store_settings: StoreSettings, tmp_path: Path, point: str
) -> None:
    """MongoDB ends such a transaction after a minute."""
    gate = tmp_path / "gate"
    variables = {
        HOLD: "scan",
        GATE: str(gate),
        "MILLRACE_WORKER_LEASE": "4",
        "MILLRACE_WORKER_PROCESSES": "2",
    }
    async with trip(store_settings, "locked", tmp_path) as locked:
        free = await begin(locked.store, tmp_path / "trace-free")
        async with worker(locked.settings, "only", **variables):
            await locked.trace.waits("scan")
            await free.trace.waits("scan")
            await dies_at(locked.settings, point, "tests.crash.canceller", locked.job)
            gate.touch()
            await free.check(await until(free.store, free.job), ONCE_EACH)
            await locked.store.db.client.admin.command("killAllSessions", [])
            await locked.check(await until(locked.store, locked.job), ONCE_EACH)
        await sound(locked.store)
