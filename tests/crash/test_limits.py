"""Workers are killed that alone know what a limit holds back: others begin it when there is room."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pipeline.client import Client
from pipeline.operator import Operator
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.permits import Wanted
from pipeline.submission import job_document
from pipeline.turns import Peers
from tests.integration.capped import CAPPED
from tests.integration.metered import METERED
from tests.records import admitted, committing, queue, violations
from tests.support import reconciled, running, submit, until, worker_process

HOUR = timedelta(hours=1)
TENANT = "tenant:default"


def first_of(name: str, other: str) -> dict[str, Any]:
    """A job that the worker of this name begins, as it ranks before the other one."""
    peers = Peers(name, [queue(METERED)])
    peers.join(other, [queue(METERED)])
    while not peers.first(
        (job := job_document("metered", name="a.txt", content=b"one"))["_id"], queue(METERED)
    ):
        continue
    return job


async def taken(store: Store) -> str:
    """A job that some other worker runs: all that the limit lets."""
    [job] = await admitted(store)
    limits = await store.limits.list()
    async with committing(store) as commits:
        wanted = [Wanted(f"{job}:read:1", (TENANT,))]
        tasks, _ = await store.tasks.take_within(store.permits(commits), wanted, limits, "elsewhere", HOUR)
    assert len(tasks) == 1
    return job


async def put_aside(store: Store, tasks: Mapping[str, Any]) -> None:
    """Wait, by change events, until one of these tasks is in a pond."""
    with anyio.fail_after(60):
        async with await store.db["tasks"].watch() as moved:
            while not await store.db["tasks"].find_one({**tasks, "queue": {"$regex": "#"}}):
                await moved.try_next()


@pytest.mark.parametrize(
    "limit", [{"concurrency": 1}, {"rate": 1, "per": timedelta(seconds=12)}], ids=["concurrency", "rate"]
)
async def test_what_only_a_killed_worker_knew_to_be_held_back_begins_on_an_idle_one(
    store: Store, store_settings: StoreSettings, limit: Mapping[str, Any]
) -> None:
    """What is admitted while a limit is full goes where nobody is woken by it, and only `one` was refused."""
    client = Client(store)
    await store.pipelines.register([METERED, CAPPED])
    await Operator(store).limit(TENANT, **limit)
    holder = await taken(store)
    both = ("tests.integration.metered:METERED", "--pipeline", "tests.integration.capped:CAPPED")
    async with worker_process(
        store_settings, *both, "--name", "one", MILLRACE_WORKER_RECONCILIATION="PT1H"
    ) as one:
        async with running(store, METERED, WorkerSettings(reconciliation=HOUR), name="two"):
            await reconciled(store, roles=2)
            await submit(client, "capped")  # which `two` doesn't run
            await put_aside(store, {"pipeline": "capped"})
            await store.db["jobs"].insert_one(job := first_of("one", "two"))
            await put_aside(store, {"job": job["_id"]})
            one.kill()
            await one.wait()
            await client.cancel(holder)
            assert (await until(store, job["_id"])).state == "succeeded"
    assert await violations(store) == {}
