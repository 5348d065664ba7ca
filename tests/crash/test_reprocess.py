"""A process is killed while it begins the jobs of a reprocess: who goes on begins the others, none twice."""

import os
import sys
from subprocess import DEVNULL

import anyio
import pytest

from pipeline.client import Client
from pipeline.crashpoints import VARIABLE
from pipeline.reprocess import Reprocesses
from pipeline.store import Store
from pipeline.store.reprocesses import AT_ONCE
from tests.crash.test_locks import patient
from tests.integration.test_batches import ended
from tests.integration.test_reprocess import Asking, large, many, revisions
from tests.records import violations
from tests.support import running

GOES_ON = """
import sys
import anyio
from pipeline.reprocess import Reprocesses
from pipeline.settings import StoreSettings
from pipeline.store import Store

async def go_on():
    async with Store(StoreSettings()) as store:
        await Reprocesses(store, "default").go_on(sys.argv[1], limit=1000)

anyio.run(go_on)
"""


async def dies(store: Store, batch: str, point: str) -> None:
    assert store.settings.mongodb_uri is not None
    own = {
        **os.environ,
        "MILLRACE_MONGODB_URI": store.settings.mongodb_uri.get_secret_value(),
        "MILLRACE_DATABASE": store.settings.database,
        VARIABLE: point,
    }
    process = await anyio.run_process(
        [sys.executable, "-c", GOES_ON, batch], env=own, check=False, stdout=DEVNULL, stderr=None
    )
    assert process.returncode == -9


@pytest.mark.parametrize(("point", "begun"), [("reprocess.written:2", AT_ONCE), ("reprocess.begun", AT_ONCE)])
async def test_a_process_is_killed_while_jobs_begin(store: Store, point: str, begun: int) -> None:
    asking, client = Asking(), Client(store)
    jobs = await many(store, asking)
    batch = await Reprocesses(store, "default").create(large())
    await dies(store, batch, point)
    assert (await client.batch(batch)).jobs.running == begun
    async with patient(store), running(store, asking.pipeline):
        await client.reprocess(id=batch)
        view = await ended(store, batch)
    assert (view.state, view.jobs.succeeded) == ("succeeded", len(jobs))
    assert await revisions(store, jobs) == {2}
    # Who ended well has left no record, who died is not alive.
    [dead] = await store.db["workers"].find({"slots": 0}).to_list()
    assert dead["_id"].startswith("reruns-")
    assert asking.again() == [(job, "ask") for job in jobs]
    assert await violations(store) == {}
