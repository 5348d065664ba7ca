"""The primary is killed, and others step down, while documents are submitted all the time."""

import anyio
import pytest

from tests.faults.conftest import LONG, installed, settings_of
from tests.faults.load import loaded, settled
from tests.replica_set import ReplicaSet

STEP_DOWNS = 24 if LONG else 2
EVERY = 5.0
"""Seconds between two step-downs."""


@pytest.mark.timeout(STEP_DOWNS * 10 + 120)
async def test_step_downs_under_load(replicas: ReplicaSet) -> None:
    async with installed(settings_of(replicas)) as store:
        async with loaded(store, store.settings) as load:
            for _ in range(STEP_DOWNS):
                await load.accepted_more(10)
                with anyio.move_on_after(EVERY):
                    await replicas.step_down()
                    await anyio.sleep_forever()
        await settled(load, store)


async def test_a_primary_that_is_killed_under_load(replicas: ReplicaSet) -> None:
    """The API has less time for an operation than an election takes, so it must refuse some."""
    async with installed(settings_of(replicas)) as store:
        async with loaded(store, settings_of(replicas, timeout=1)) as load:
            await load.accepted_more(10)
            killed = await replicas.primary()
            await killed.kill()
            await replicas.primary(replicas.others(killed))
            await load.accepted_more(10)
            await killed.start()
            await killed.synced()
            await load.accepted_more(10)
        await settled(load, store)
    assert load.answers[503] > 0
