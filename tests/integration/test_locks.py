"""What a killed process left locked holds up nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio

from pipeline.rescuer import Rescuer
from pipeline.store import Store
from tests.records import AT_ONCE, MINUTE, admitted, claimed, committing, queue, stored


@asynccontextmanager
async def locked(store: Store, task: str) -> AsyncIterator[None]:
    """An open transaction of a process that says no more."""
    async with store.db.client.start_session() as session:
        await session.start_transaction()
        await store.db["tasks"].update_one({"_id": task}, {"$set": {"planted": True}}, session=session)
        yield
        await session.abort_transaction()


async def test_other_tasks_are_claimed_beside_a_locked_one(store: Store) -> None:
    jobs = sorted(await admitted(store, 4))  # the first is the one that an update of all meets first
    async with locked(store, f"{jobs[0]}:read:1"):
        with anyio.fail_after(60):
            taken: set[str] = set()
            while len(taken) < 3:
                taken |= {task.job for task in await store.tasks.claim([queue()], 4, "worker-1", MINUTE)}
    assert taken == set(jobs[1:])
    [last] = await store.tasks.claim([queue()], 4, "worker-1", MINUTE)
    assert last.job == jobs[0]


async def test_other_tasks_are_rescued_beside_a_locked_one(store: Store) -> None:
    first, second = await claimed(store, 2, lease_for=AT_ONCE)
    async with committing(store) as commits, locked(store, first.id):
        rescuer = Rescuer(store, commits, timedelta(minutes=1), lambda: None)
        await rescuer._rescue_expired()
        assert (await stored(store, first.id))["state"] == "running"
        assert (await stored(store, second.id))["state"] == "ready"
        assert not rescuer._away
