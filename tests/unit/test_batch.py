"""A batch: what is alike is one statement, and every change leaves a stamp by which it is recognised."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import UpdateMany, UpdateOne

from pipeline import transitions
from pipeline.model import (
    QUIET,
    Change,
    DocumentReference,
    Failure,
    Hold,
    Input,
    Lease,
    StageOutput,
    Submitted,
    Succeeded,
    Task,
    Write,
)
from pipeline.recipe import Recipe
from pipeline.store.batch import Batch, alike, matching, stamped
from tests.support import COUNTING

MINUTE = timedelta(minutes=1)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOLD = Hold("worker-1", "claim-2", NOW, NOW + MINUTE)
STAMP = "of the batch"


def task(number: int, stage: str = "read", claim: str = "claim-1") -> Task:
    job = f"acme.{number:020x}"
    return Task(
        id=f"{job}:{stage}:1",
        job=job,
        tenant="acme",
        pipeline="counting",
        pipeline_version=1,
        stage=stage,
        revision=1,
        priority=0,
        attempt=1,
        max_attempts=3,
        lease=Lease(claim, 1, "worker-1"),
        traceparent=None,
        document=DocumentReference("a.txt", "text/plain", 3, "d" * 64),
        params={},
        inputs={},
        input=Input("d" * 64),
    )


def completed(given: Task, hold: Hold | None = None) -> Change:
    output = StageOutput({"text": given.job}, "b" * 64, 14, "d" * 64, Recipe(1))
    return transitions.complete(given, Succeeded(output, None), COUNTING, hold)


def saved(given: Task, key: str) -> Change:
    return transitions.checkpoint(given, key, 1, None, MINUTE)


def admitted(number: int, hold: Hold | None = None, run_at: datetime | None = None) -> Change:
    job = Submitted(f"acme.{number:020x}", "acme", "counting", 0, run_at, None, "d" * 64)
    return transitions.admit(job, COUNTING, None, hold)


def ids(groups: Sequence[Sequence[Write]]) -> list[list[str]]:
    return [[write.filter["_id"] for write in group] for group in groups]


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> type[Batch]:
    monkeypatch.setattr("pipeline.store.batch.secrets.token_hex", lambda _: STAMP)
    return Batch


def test_what_is_quiet_has_a_stamp_by_which_listeners_leave_it_out(batch: type[Batch]) -> None:
    loud, quiet = admitted(1, HOLD), replace(admitted(2, HOLD), quiet=True)
    assert batch([quiet, loud]).guards["jobs"].operations == [
        UpdateOne(dict(loud.guard.filter), stamped(loud.guard.update, STAMP)),
        UpdateOne(dict(quiet.guard.filter), stamped(quiet.guard.update, QUIET + STAMP)),
    ]


def test_what_differs_in_its_document_alone_is_one_statement(batch: type[Batch]) -> None:
    changes = [completed(task(number)) for number in range(3)]
    made = batch(changes)
    update = stamped(changes[0].guard.update, STAMP)
    assert made.guards["tasks"].operations == [UpdateMany(matching([each.guard for each in changes]), update)]
    assert made.guards["tasks"].count == 3


def test_a_statement_of_many_asks_for_all_that_each_of_them_asked_for() -> None:
    guards = [completed(task(number)).guard for number in range(2)]
    assert matching(guards) == {**guards[0].filter, "_id": {"$in": [each.filter["_id"] for each in guards]}}
    assert matching(guards[:1]) == guards[0].filter


def test_what_differs_in_more_is_not_put_together() -> None:
    guards = [
        completed(task(0)).guard,
        completed(task(1, claim="another")).guard,
        saved(task(2), "a").guard,
        completed(task(3)).guard,
        admitted(4).guard,
    ]
    assert ids(alike(guards)) == ids([[guards[0], guards[3]], [guards[1]], [guards[2]], [guards[4]]])


def test_a_document_that_is_guarded_twice_needs_two_statements(batch: type[Batch]) -> None:
    one, other = task(1), task(2)
    changes = [saved(one, "a"), saved(one, "b"), saved(other, "a"), saved(one, "c")]
    made = batch(changes)
    assert ids(alike(each.guard for each in changes)) == [[one.id, other.id], [one.id], [one.id]]
    assert len(made.guards["tasks"].operations) == 3
    assert made.guards["tasks"].count == 4
    assert [each["_id"] for each in made.creates["checkpoints"]] == [
        f"{one.id}/a",
        f"{one.id}/b",
        f"{other.id}/a",
        f"{one.id}/c",
    ]


def test_what_creates_nothing_leaves_its_own_stamp_on_what_it_guards(batch: type[Batch]) -> None:
    changes = [transitions.interrupt(task(number)) for number in range(2)]
    failed = transitions.fail(task(2), Failure("ValueError", "broken"))
    made = batch([*changes, failed])
    assert made.guards["tasks"].operations == [
        UpdateOne(dict(each.guard.filter), stamped(each.guard.update, each.id)) for each in (*changes, failed)
    ]
    assert made.guards["tasks"].count == 3
    [ended] = failed.then
    assert made.follow_ups["jobs"].operations == [UpdateOne(dict(ended.filter), stamped(ended.update, STAMP))]


def test_what_creates_something_leaves_its_own_stamp_there_and_the_batchs_elsewhere(
    batch: type[Batch],
) -> None:
    changes = [completed(task(number, stage="count")) for number in range(2)]
    made = batch(changes)
    assert [each["commit"] for each in made.creates["outputs"]] == [each.id for each in changes]
    assert len({each.id for each in changes}) == 2
    guards, ends = [each.guard for each in changes], [each.then[0] for each in changes]
    assert made.guards["tasks"].operations == [UpdateMany(matching(guards), stamped(guards[0].update, STAMP))]
    assert made.follow_ups["jobs"].operations == [UpdateMany(matching(ends), stamped(ends[0].update, STAMP))]
    assert made.follow_ups["jobs"].count == 2


def test_two_batches_have_two_stamps() -> None:
    change = completed(task(1))
    first, second = Batch([change]), Batch([change])
    assert first.guards["tasks"].operations != second.guards["tasks"].operations


def test_tasks_that_are_held_have_their_times_and_ready_ones_get_the_servers(batch: type[Batch]) -> None:
    later = NOW + MINUTE
    changes = [
        completed(task(0)),
        completed(task(1), HOLD),
        admitted(2),
        admitted(3, HOLD),
        admitted(4, run_at=later),
    ]
    made = batch(changes)
    assert [(each["job"][-1], each["state"]) for each in made.creates["tasks"]] == [
        ("1", "running"),
        ("3", "running"),
    ]
    assert [(each["job"][-1], each["state"], each["run_at"]) for each in made.ready] == [
        ("0", "ready", None),
        ("2", "ready", None),
        ("4", "ready", later),
    ]
    assert [each["commit"] for each in (*made.creates["tasks"], *made.ready)] == [
        changes[number].id for number in (1, 3, 0, 2, 4)
    ]
