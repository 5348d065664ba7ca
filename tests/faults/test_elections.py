"""The primary is killed, and others step down, while documents are submitted all the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.faults.conftest import LONG, installed, settings_of
from tests.faults.load import Load, drained, jobs_by_key
from tests.integration.api_server import serving
from tests.records import violations
from tests.replica_set import ReplicaSet
from tests.support import worker_process

STEP_DOWNS = 24 if LONG else 3
EVERY = 5.0
"""Seconds between two step-downs."""


@asynccontextmanager
async def loaded(store: Store, settings: StoreSettings) -> AsyncIterator[Load]:
    """An API of these settings under load, and two workers; in the end all was accepted and has ended."""
    pipeline = "tests.support:COUNTING"
    async with (
        worker_process(store.settings, pipeline, MILLRACE_WORKER_LEASE="10"),
        worker_process(store.settings, pipeline, MILLRACE_WORKER_LEASE="10"),
        serving(settings) as api,
    ):
        load = Load(api)
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(load.run)
            try:
                yield load
            finally:
                load.stop()
        await drained(store)


async def settled(load: Load, store: Store) -> None:
    assert not load.odd
    assert set(load.answers) <= {202, 503}
    jobs = await jobs_by_key(store)
    assert jobs == {key: (job, "succeeded") for key, job in load.accepted.items()}
    assert await violations(store) == {}


@pytest.mark.timeout(STEP_DOWNS * 10 + 120)
async def test_step_downs_under_load(replicas: ReplicaSet) -> None:
    async with installed(settings_of(replicas)) as store:
        async with loaded(store, store.settings) as load:
            for _ in range(STEP_DOWNS):
                await load.accepted_more()
                with anyio.move_on_after(EVERY):
                    await replicas.step_down()
                    await anyio.sleep_forever()
        await settled(load, store)


async def test_a_primary_that_is_killed_under_load(replicas: ReplicaSet) -> None:
    """The API has less time for an operation than an election takes, so it must refuse some."""
    async with installed(settings_of(replicas)) as store:
        async with loaded(store, settings_of(replicas, timeout=1)) as load:
            await load.accepted_more()
            killed = await replicas.primary()
            await killed.kill()
            await replicas.primary(replicas.others(killed))
            await load.accepted_more()
            await killed.start()
            await killed.synced()
            await load.accepted_more()
        await settled(load, store)
    assert load.answers[503] > 0
