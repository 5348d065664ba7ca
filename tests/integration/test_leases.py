"""Who loses a lease, and who does not."""

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import anyio

from pipeline.leases import Holding, Leases
from pipeline.store import Store
from tests.records import claimed

LEASE = timedelta(minutes=1)


async def test_an_answer_of_an_earlier_claim_takes_nothing_from_a_later_one(store: Store) -> None:
    [task] = await claimed(store)
    await store.db["tasks"].update_one({"_id": task.id}, {"$set": {"lease.claim_id": "another"}})
    leases = Leases(store.tasks, LEASE)
    answered = anyio.Event()

    async def renew(holding: Holding) -> None:
        await leases._write([holding])
        answered.set()

    async with anyio.create_task_group() as group:
        with leases.hold(task, anyio.CancelScope()) as earlier:
            group.start_soon(renew, earlier)
            await anyio.lowlevel.checkpoint()
        with leases.hold(task, anyio.CancelScope()) as later:
            assert not answered.is_set()
            with anyio.fail_after(30):
                await answered.wait()
    assert not later.lost


async def test_a_lost_attempt_that_ends_late_leaves_the_later_claim_of_its_task_held(store: Store) -> None:
    [task] = await claimed(store)
    leases = Leases(store.tasks, LEASE)
    with ExitStack() as earlier, ExitStack() as later:
        earlier.enter_context(leases.hold(task, anyio.CancelScope()))
        holding = later.enter_context(leases.hold(task, anyio.CancelScope()))
        earlier.close()
        leases.interrupt_all()
        assert holding.interrupted


async def test_a_lease_that_another_claim_has_taken_is_lost(store: Store) -> None:
    [task] = await claimed(store)
    await store.db["tasks"].update_one({"_id": task.id}, {"$set": {"lease.claim_id": "another"}})
    leases = Leases(store.tasks, LEASE)
    with leases.hold(task, anyio.CancelScope()) as holding:
        await leases._write([holding])
    assert holding.lost


async def test_a_stop_reaches_the_tasks_of_a_claim_that_was_under_way(store: Store) -> None:
    [task] = await claimed(store)
    leases = Leases(store.tasks, LEASE)
    leases.interrupt_all()
    with anyio.fail_after(30), anyio.CancelScope() as scope:
        with leases.hold(task, scope):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_past_the_trusted_part_of_a_lease_work_waits_for_a_renewal(store: Store) -> None:
    [task] = await claimed(store)
    lapsed = replace(
        task, lease=replace(task.lease, asked_at=time.monotonic() - 0.95 * LEASE.total_seconds())
    )
    leases = Leases(store.tasks, LEASE)
    begun = anyio.Event()

    async def part(holding: Holding) -> None:
        await holding.trusted()
        begun.set()

    async with anyio.create_task_group() as group:
        with leases.hold(lapsed, anyio.CancelScope()) as holding:
            group.start_soon(part, holding)
            await anyio.wait_all_tasks_blocked()
            assert not begun.is_set()
            await leases._write([holding])
            with anyio.fail_after(30):
                await begun.wait()


async def test_a_lease_is_trusted_from_its_claim_on(store: Store) -> None:
    [task] = await claimed(store)
    with Leases(store.tasks, LEASE).hold(task, anyio.CancelScope()) as holding:
        with anyio.fail_after(30):
            await holding.trusted()
