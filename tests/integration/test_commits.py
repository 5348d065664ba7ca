"""Group commit: many changes together, each as careful as if it were alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from pipeline import PermanentError, Progress, transitions
from pipeline.committer import Committer
from pipeline.errors import Contended, LeaseLost, MillraceError, StateConflict, StoreUnavailable
from pipeline.model import Change, Failure
from pipeline.store import Store
from pipeline.store.commits import MAX_BATCH, MAX_BATCH_BYTES, MAX_DOCUMENT_BYTES
from tests.records import MINUTE, claimed, committing, completion, queue, stored, violations


async def test_many_changes_become_durable_in_one_transaction(store: Store) -> None:
    tasks = await claimed(store, 100)
    changes = [await completion(store, task) for task in tasks]
    async with committing(store) as commits:
        assert await commits.commit(changes) == [None] * 100
    assert await store.db["outputs"].count_documents({}) == 100
    assert await store.db["tasks"].count_documents({"stage": "count", "state": "ready"}) == 100
    assert await violations(store) == {}


async def test_a_lost_lease_is_refused_and_spares_the_others(store: Store) -> None:
    tasks = await claimed(store, 3)
    lost = replace(tasks[1], lease=replace(tasks[1].lease, fence=tasks[1].lease.fence - 1))
    changes = [await completion(store, task) for task in (tasks[0], lost, tasks[2])]
    async with committing(store) as commits:
        results = await commits.commit(changes)
    assert [type(result) for result in results] == [type(None), LeaseLost, type(None)]
    states = [(await stored(store, task.id))["state"] for task in tasks]
    assert states == ["succeeded", "running", "succeeded"]
    assert await store.db["outputs"].count_documents({"job": lost.job}) == 0
    assert await store.db["tasks"].count_documents({"job": lost.job}) == 1


async def test_a_successor_that_exists_already_fails_loudly_and_spares_the_others(store: Store) -> None:
    tasks = await claimed(store, 3)
    changes = [await completion(store, task) for task in tasks]
    planted = dict(changes[1].creates[1][1], run_at=(await stored(store, tasks[1].id))["run_at"])
    await store.db["tasks"].insert_one({**planted, "planted": True})
    async with committing(store) as commits:
        results = await commits.commit(changes)
    assert [type(result) for result in results] == [type(None), StateConflict, type(None)]
    assert (await stored(store, tasks[1].id))["state"] == "running"
    assert (await stored(store, planted["_id"]))["planted"]
    assert await store.db["outputs"].count_documents({"job": tasks[1].job}) == 0


async def test_a_completion_whose_answer_was_lost_is_durable_once(store: Store) -> None:
    tasks = await claimed(store, 2)
    changes = [await completion(store, task) for task in tasks]
    async with committing(store) as commits:
        assert await commits.commit(changes[:1]) == [None]
        assert await commits.commit(changes[:1]) == [None]
        assert await commits.commit(changes) == [None, None]
    assert await store.db["outputs"].count_documents({}) == 2
    assert await violations(store) == {}


async def test_a_last_completion_whose_answer_was_lost_is_durable_once(store: Store) -> None:
    [first] = await claimed(store)
    async with committing(store) as commits:
        await commits.commit([await completion(store, first)])
        [last] = await store.tasks.claim([queue(position=1)], 1, "worker-1", MINUTE)
        change = await completion(store, last, {"words": 3})
        change = replace(change, creates=(_with_input(change.creates[0], await completion(store, first)),))
        assert await commits.commit([change]) == [None]
        assert await commits.commit([change]) == [None]
    assert (await store.db["jobs"].find_one({"_id": first.job}) or {})["state"] == "succeeded"
    assert await violations(store) == {}


def _with_input(created: tuple[str, Any], before: Any) -> tuple[str, Any]:
    collection, record = created
    return collection, {**record, "input_sha256": before.creates[0][1]["sha256"]}


async def test_checkpoints_whose_answer_was_lost_are_durable_once(store: Store) -> None:
    [task] = await claimed(store)
    changes = [
        transitions.checkpoint(task, f"page-{number}", {"n": number}, Progress(number, 3, "page"), MINUTE)
        for number in (1, 2, 3)
    ]
    async with committing(store) as commits:
        assert await commits.commit(changes) == [None] * 3
        assert await commits.commit(changes) == [None] * 3
    assert await store.outputs.checkpoints(task.id) == {f"page-{n}": {"n": n} for n in (1, 2, 3)}


async def test_another_change_for_the_same_checkpoint_fails_loudly(store: Store) -> None:
    [task] = await claimed(store)
    async with committing(store) as commits:
        for value, expected in (("first", type(None)), ("second", StateConflict)):
            [result] = await commits.commit([transitions.checkpoint(task, "a", value, None, MINUTE)])
            assert type(result) is expected
    assert await store.outputs.checkpoints(task.id) == {"a": "first"}


async def test_a_completion_after_another_worker_completed_it_is_a_lost_lease(store: Store) -> None:
    [zombie] = await claimed(store, lease_for=timedelta(0))
    async with committing(store) as commits:
        await commits.commit(
            [transitions.rescue(await stored(store, zombie.id), Failure("Died", ""), expired=True)]
        )
        [task] = await store.tasks.claim([queue()], 1, "worker-2", MINUTE)
        assert await commits.commit([await completion(store, task, {"text": "second"})]) == [None]
        [result] = await commits.commit([await completion(store, zombie, {"text": "first"})])
    assert isinstance(result, LeaseLost)
    assert await store.outputs.body(task.job, "read", 1) == {"text": "second"}
    assert await violations(store) == {}


async def test_a_document_that_stays_locked_spares_the_others(store: Store) -> None:
    tasks = await claimed(store, 3)
    task, changes = tasks[1], [await completion(store, task) for task in tasks]
    async with store.db.client.start_session() as other, committing(store) as commits:
        await other.start_transaction()
        await store.db["tasks"].update_one({"_id": task.id}, {"$set": {"locked": True}}, session=other)
        results = await commits.commit(changes)
        assert [type(result) for result in results] == [type(None), Contended, type(None)]
        assert [type(result) for result in await commits.commit([changes[1]])] == [Contended]
        await other.abort_transaction()
        assert await commits.commit(changes) == [None, None, None]


async def test_what_the_database_refuses_spares_the_others(store: Store) -> None:
    tasks = await claimed(store, 3)
    changes = [await completion(store, task) for task in tasks]
    _, record = changes[1].creates[0]
    nameless = {key: value for key, value in record.items() if key != "claim_id"}
    changes[1] = replace(changes[1], creates=(("outputs", nameless), changes[1].creates[1]))
    async with committing(store) as commits:
        results = await commits.commit(changes)
    assert [type(result) for result in results] == [type(None), PermanentError, type(None)]
    assert (await stored(store, tasks[1].id))["state"] == "running"


async def test_what_is_nested_too_deep_spares_the_others(store: Store) -> None:
    tasks = await claimed(store, 2)
    deep: dict[str, Any] = {}
    for _ in range(220):
        deep = {"in": deep}
    changes = [await completion(store, task, body) for task, body in zip(tasks, (deep, None), strict=True)]
    async with committing(store) as commits:
        results = await commits.commit(changes)
    assert [type(result) for result in results] == [PermanentError, type(None)]


async def test_dollar_signs_are_stored_as_they_are(store: Store) -> None:
    body = {"text": "$state", "$set": {"a.b": "$$NOW"}, "list": ["$tenant", {"$literal": 1}]}
    completed, saving, failing = await claimed(store, 3)
    async with committing(store) as commits:
        results = await commits.commit(
            [
                await completion(store, completed, body),
                transitions.checkpoint(saving, "$key", body, Progress(1, 2, "$unit"), MINUTE),
                transitions.fail(failing, Failure("$Type", "$message", "$part", "$trace")),
            ]
        )
    assert results == [None] * 3
    assert await store.outputs.body(completed.job, "read", 1) == body
    assert await store.outputs.checkpoints(saving.id) == {"$key": body}
    assert (await stored(store, saving.id))["progress"] == {
        "done": 1,
        "total": 2,
        "unit": "$unit",
        "note": None,
    }
    told = (await stored(store, failing.id))["errors"][0]
    assert [told[name] for name in ("type", "message", "part", "trace")] == [
        "$Type",
        "$message",
        "$part",
        "$trace",
    ]
    job = await store.db["jobs"].find_one({"_id": failing.job}) or {}
    assert job["error"] == {"type": "$Type", "message": "$message", "part": "$part", "stage": "read"}


async def _transactions(store: Store) -> int:
    """How many transactions this server has committed."""
    status = await store.db.client.admin.command("serverStatus")
    return int(status["transactions"]["totalCommitted"])


def _join(group: TaskGroup, committer: Committer, change: Change, ended: list[object]) -> None:
    """Commit in the background; what it raised, or None, is appended to `ended`."""

    async def commit() -> None:
        try:
            await committer.commit(change)
        except MillraceError as error:
            ended.append(error)
        else:
            ended.append(None)

    group.start_soon(commit)


async def test_the_committer_batches_what_waits(store: Store) -> None:
    tasks = await claimed(store, MAX_BATCH + 44)
    changes = [await completion(store, task) for task in tasks]
    before = await _transactions(store)
    ended: list[object] = []
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        for change in changes:
            _join(group, committer, change, ended)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(committer.run)
        await anyio.wait_all_tasks_blocked()
        committer.stop()
    assert ended == [None] * len(changes)
    assert await _transactions(store) - before == 2
    assert await store.db["outputs"].count_documents({}) == len(tasks)


async def test_a_batch_closes_at_four_megabytes(store: Store) -> None:
    tasks = await claimed(store, 3)
    changes = [await completion(store, task, {"text": "x" * (MAX_BATCH_BYTES // 2)}) for task in tasks]
    before = await _transactions(store)
    ended: list[object] = []
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        for change in changes:
            _join(group, committer, change, ended)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(committer.run)
        await anyio.wait_all_tasks_blocked()
        committer.stop()
    assert ended == [None] * 3
    assert await _transactions(store) - before == 3


async def test_stop_commits_what_has_joined_and_refuses_what_comes_after(store: Store) -> None:
    early, late = [await completion(store, task) for task in await claimed(store, 2)]
    ended: list[object] = []
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        _join(group, committer, early, ended)
        await anyio.wait_all_tasks_blocked()
        committer.stop()
        with pytest.raises(StoreUnavailable):
            await committer.commit(late)
        group.start_soon(committer.run)
    assert ended == [None]
    assert await store.db["outputs"].count_documents({}) == 1


async def test_giving_up_tells_everything_that_waits(store: Store) -> None:
    [task] = await claimed(store)
    change = await completion(store, task)
    ended: list[object] = []
    async with store.db.client.start_session() as other, committing(store) as commits:
        await other.start_transaction()
        await store.db["tasks"].update_one({"_id": task.id}, {"$set": {"locked": True}}, session=other)
        async with anyio.create_task_group() as group:
            committer = Committer(commits)
            group.start_soon(committer.run)
            for _ in range(3):
                _join(group, committer, change, ended)
            await anyio.wait_all_tasks_blocked()
            committer.give_up_in(0)
        await other.abort_transaction()
    assert [type(error) for error in ended] == [StoreUnavailable] * 3
    assert (await stored(store, task.id))["state"] == "running"


async def test_a_cancelled_attempt_still_hears_that_its_commit_is_durable(store: Store) -> None:
    [task] = await claimed(store)
    change = await completion(store, task)
    durable = False
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        async with anyio.create_task_group() as attempt:

            async def settle() -> None:
                nonlocal durable
                await committer.commit(change)
                durable = True

            attempt.start_soon(settle)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(committer.run)
            attempt.cancel_scope.cancel()
        committer.stop()
    assert durable
    assert (await stored(store, task.id))["state"] == "succeeded"


UNSTORABLE = {
    "oversize": "x" * (MAX_DOCUMENT_BYTES + 1),
    "no text": "\ud800",
    "an integer of 65 bits": 2**64,
    "a key with NUL": {"a\0b": 1},
    "no data": object(),
}


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=UNSTORABLE.keys())
async def test_what_cannot_be_stored_joins_no_batch(store: Store, value: object) -> None:
    good, bad = await claimed(store, 2)
    ended: list[object] = []
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        _join(group, committer, transitions.checkpoint(bad, "part", value, None, MINUTE), ended)
        _join(group, committer, await completion(store, good), ended)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(committer.run)
        await anyio.wait_all_tasks_blocked()
        committer.stop()
    assert [type(error) for error in ended] == [PermanentError, type(None)]


async def test_an_error_of_invalid_text_joins_no_batch(store: Store) -> None:
    good, bad = await claimed(store, 2)
    async with committing(store) as commits, anyio.create_task_group() as group:
        committer = Committer(commits)
        group.start_soon(committer.run)
        with pytest.raises(PermanentError):
            await committer.commit(transitions.fail(bad, Failure("ValueError", "no text: \ud800")))
        await committer.commit(await completion(store, good))
        committer.stop()
