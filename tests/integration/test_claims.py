"""Claims, renewals, rescues: who may run a task, and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pipeline import Progress, transitions
from pipeline.errors import LeaseLost
from pipeline.model import Failure, Task
from pipeline.rescuer import release_worker, rescue
from pipeline.store import Store
from pipeline.store.tasks import Tasks
from tests.records import (
    AT_ONCE,
    MINUTE,
    admitted,
    claimed,
    committing,
    completion,
    queue,
    stored,
    violations,
)
from tests.support import COUNTING, running, until


async def test_every_task_is_claimed_by_exactly_one_of_many(store: Store) -> None:
    await admitted(store, 200)
    taken: list[Task] = []

    async def claimer(name: str) -> None:
        tasks = Tasks(store.db)  # a claimer of its own, with its own memory of lost races
        while claims := await tasks.claim([queue()], 7, name, MINUTE):
            taken.extend(claims)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(claimer, f"worker-{number}")
    assert len(taken) == 200
    assert len({task.id for task in taken}) == 200
    assert {task.lease.fence for task in taken} == {1}
    assert await store.db["tasks"].count_documents({"state": "ready"}) == 0
    held = {each["_id"]: each["lease"]["claim_id"] async for each in store.db["tasks"].find({})}
    assert held == {task.id: task.lease.claim_id for task in taken}


async def test_the_best_come_first_by_priority_and_then_by_time(store: Store) -> None:
    first = await admitted(store, 4, priorities=(0, 5))
    second = await admitted(store, 2, priorities=(-3, 5))
    claims = [
        (await store.tasks.claim([queue()], 1, "worker-1", MINUTE))[0].job for _ in range(len(first + second))
    ]
    assert set(claims[:2]) == {first[1], first[3]}
    assert claims[2] == second[1]
    assert set(claims[3:5]) == {first[0], first[2]}
    assert claims[5] == second[0]


async def test_a_batch_is_claimed_in_the_same_order(store: Store) -> None:
    await admitted(store, 9, priorities=(1, 7, 4))
    claims = await store.tasks.claim([queue()], 6, "worker-1", MINUTE)
    assert [task.priority for task in claims] == [7, 7, 7, 4, 4, 4]


async def test_what_is_due_later_is_not_claimed(store: Store) -> None:
    await admitted(store, 2, run_at=datetime.now(UTC) + timedelta(hours=1))
    past = await admitted(store, run_at=datetime.now(UTC) - timedelta(hours=1))
    claims = await store.tasks.claim([queue()], 10, "worker-1", MINUTE)
    assert [task.job for task in claims] == past
    wait = await store.tasks.next_lease_end()
    assert wait is not None
    assert wait <= MINUTE


async def test_the_times_for_which_a_timer_is_armed(store: Store) -> None:
    assert await store.tasks.next_due() is None
    assert await store.tasks.next_lease_end() is None
    await admitted(store, run_at=datetime.now(UTC) + timedelta(hours=1))
    due = await store.tasks.next_due()
    assert due is not None
    assert timedelta(minutes=59) < due <= timedelta(hours=1)
    await claimed(store, lease_for=AT_ONCE)
    assert await store.tasks.next_lease_end() == timedelta(0)


async def test_only_asked_queues_are_claimed(store: Store) -> None:
    await admitted(store)
    assert await store.tasks.claim([queue(position=1), "other@1/read"], 10, "worker-1", MINUTE) == []


async def test_a_worker_may_have_any_name(store: Store) -> None:
    [task] = await claimed(store, worker="$state")
    assert task.lease.worker == "$state"
    assert [each["_id"] for each in await store.tasks.of_worker("$state")] == [task.id]


async def test_the_fence_only_grows(store: Store) -> None:
    [task] = await claimed(store, lease_for=AT_ONCE)
    fences = [task.lease.fence]
    async with committing(store) as commits:
        for _ in range(2):
            assert await rescue(commits, await stored(store, task.id), "died", expired=True)
            [task] = await store.tasks.claim([queue()], 1, "worker-2", AT_ONCE)
            fences.append(task.lease.fence)
        await commits.commit([transitions.interrupt(task)])
        [task] = await store.tasks.claim([queue()], 1, "worker-3", MINUTE)
        fences.append(task.lease.fence)
    assert fences == [1, 2, 3, 4]


async def test_renewing_tells_which_leases_are_lost_and_keeps_the_others(store: Store) -> None:
    kept, rescued, ended, forged = tasks = await claimed(store, 4, lease_for=AT_ONCE)
    async with committing(store) as commits:
        await rescue(commits, await stored(store, rescued.id), "died", expired=True)
        await store.tasks.claim([queue()], 1, "worker-2", MINUTE)
        await commits.commit([await completion(store, ended)])
        await store.db["tasks"].update_one({"_id": forged.id}, {"$set": {"lease.claim_id": "another"}})
    lost = await store.tasks.renew([(task.id, task.lease, Progress(1, 2)) for task in tasks], MINUTE)
    assert set(lost) == {rescued.id, ended.id, forged.id}
    now = await stored(store, kept.id)
    assert now["progress"] == {"done": 1, "total": 2, "unit": "part", "note": None}
    assert now["lease"]["until"] > datetime.now(UTC)
    assert (await stored(store, rescued.id))["progress"] is None


async def test_an_expired_task_is_ready_again_with_its_attempt_charged(store: Store) -> None:
    await claimed(store, 2)
    [task] = await claimed(store, lease_for=AT_ONCE)
    [expired] = await store.tasks.expired(10)
    assert expired["_id"] == task.id
    async with committing(store) as commits:
        assert await rescue(commits, expired, "vanished", expired=True)
        assert not await rescue(commits, expired, "vanished", expired=True)
    now = await stored(store, task.id)
    assert (now["state"], now["attempt"], now["lease"]["claim_id"]) == ("ready", 1, None)
    assert [(each["type"], each["attempt"]) for each in now["errors"]] == [("WorkerDied", 1)]


async def test_a_task_without_attempts_left_fails_with_its_job(store: Store) -> None:
    [task] = await claimed(store, lease_for=AT_ONCE)
    async with committing(store) as commits:
        for _ in range(task.max_attempts):
            assert await rescue(commits, await stored(store, task.id), "vanished", expired=True)
            await store.tasks.claim([queue()], 1, "worker-1", AT_ONCE)
    now = await stored(store, task.id)
    job = await store.db["jobs"].find_one({"_id": task.job}) or {}
    assert (now["state"], now["attempt"], job["state"]) == ("failed", task.max_attempts, "failed")
    assert job["error"]["type"] == "WorkerDied"
    assert await violations(store) == {}


async def test_a_renewed_lease_is_not_rescued(store: Store) -> None:
    [task] = await claimed(store, lease_for=AT_ONCE)
    [expired] = await store.tasks.expired(10)
    assert await store.tasks.renew([(task.id, task.lease, None)], MINUTE) == []
    async with committing(store) as commits:
        assert not await rescue(commits, expired, "vanished", expired=True)
    assert (await stored(store, task.id))["state"] == "running"


async def _all_but_commit(store: Store, zombie: Task) -> list[Any]:
    failure = Failure("ValueError", "from the grave")
    return [
        await completion(store, zombie, {"text": "from the grave"}),
        transitions.fail(zombie, failure),
        transitions.retry(zombie, failure, MINUTE),
        transitions.interrupt(zombie),
        transitions.checkpoint(zombie, "grave", 1, Progress(1, 1), MINUTE),
    ]


@pytest.mark.parametrize("reclaimed", [False, True], ids=["rescued", "claimed again"])
async def test_a_zombie_writes_nothing(store: Store, reclaimed: bool) -> None:
    [zombie] = await claimed(store, lease_for=AT_ONCE)
    async with committing(store) as commits:
        await rescue(commits, await stored(store, zombie.id), "vanished", expired=True)
        if reclaimed:
            assert await store.tasks.claim([queue()], 1, zombie.lease.worker, MINUTE)
        before = await stored(store, zombie.id)
        results = await commits.commit(await _all_but_commit(store, zombie))
    assert [type(result) for result in results] == [LeaseLost] * 5
    assert await stored(store, zombie.id) == before
    assert await store.db["outputs"].count_documents({}) == 0
    assert await store.db["checkpoints"].count_documents({}) == 0
    assert await store.db["tasks"].count_documents({}) == 1


async def test_a_dead_worker_gives_back_everything_at_once(store: Store) -> None:
    await store.workers.register(
        "dead", host="h", pid=1, queues=[queue()], slots=4, sessions=[], alive_for=MINUTE
    )
    held = await claimed(store, 3, worker="dead")
    others = await claimed(store, 2, worker="alive")
    assert await release_worker(store, "dead") == 3
    assert {(await stored(store, task.id))["state"] for task in held} == {"ready"}
    assert {(await stored(store, task.id))["state"] for task in others} == {"running"}
    assert await store.workers.alive() == []


async def test_a_dead_workers_open_transaction_is_ended(store: Store) -> None:
    [task] = await claimed(store, worker="dead")
    async with committing(store) as commits, store.db.client.start_session() as session:
        lsid = session.session_id["id"].as_uuid()
        await store.workers.register(
            "dead", host="h", pid=1, queues=[], slots=1, sessions=[lsid], alive_for=MINUTE
        )
        await session.start_transaction()
        await store.db["tasks"].update_one({"_id": task.id}, {"$set": {"locked": True}}, session=session)
        with anyio.fail_after(10):  # far less than the minute that its locks would last
            assert await release_worker(store, "dead") == 1
            [again] = await store.tasks.claim([queue()], 1, "worker-2", MINUTE)
            assert await commits.commit([await completion(store, again)]) == [None]
    assert "locked" not in await stored(store, task.id)


async def test_claiming_leaves_no_cursor_open(store: Store) -> None:
    await admitted(store, 300)
    before = await _open_cursors(store)
    claims = [task for _ in range(5) for task in await store.tasks.claim([queue()], 2, "worker-1", MINUTE)]
    assert len(claims) == 10
    assert await _open_cursors(store) == before


async def _open_cursors(store: Store) -> int:
    status = await store.db.client.admin.command("serverStatus")
    return int(status["metrics"]["cursor"]["open"]["total"])


async def test_a_task_whose_job_is_gone_is_left_alone(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    [orphan] = await admitted(store)
    await store.db["jobs"].delete_one({"_id": orphan})
    with anyio.fail_after(10):
        claims = await store.tasks.claim([queue()], 5, "worker-1", MINUTE)
    assert claims == []
    assert "has no job" in caplog.text


async def test_an_impossible_task_does_not_stop_the_worker(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that cannot even fail, as its job is gone: everything else goes on."""
    orphan, *others = await claimed(store, 3, worker="dead", lease_for=AT_ONCE)
    await store.db["jobs"].delete_one({"_id": orphan.job})
    await store.db["tasks"].update_one({"_id": orphan.id}, {"$set": {"attempt": orphan.max_attempts}})
    async with running(store, COUNTING):
        for task in others:
            assert (await until(store, task.job)).state == "succeeded"
    assert (await stored(store, orphan.id))["state"] == "running"
    assert "millrace verify" in caplog.text
    assert await release_worker(store, "dead") == 0
