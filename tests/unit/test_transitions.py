"""Transitions are guarded by the lease, deterministic in their ids, and read nothing from outside as code."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Pipeline, Progress, decisions, new_task, transitions, updates
from pipeline.model import (
    Change,
    DocumentReference,
    Failure,
    Input,
    Lease,
    StageOutput,
    Submitted,
    Succeeded,
    Task,
    Write,
    queue_name,
)
from pipeline.recipe import Recipe
from tests.support import COUNTING

JOB = "acme.0123456789abcdef0123"
LEASE = Lease("claim", 7, "worker-1")
MINUTE = timedelta(minutes=1)
LIMITED = Pipeline("counting", COUNTING.stages, timeout=MINUTE)
TASK = Task(
    id=f"{JOB}:read:1",
    job=JOB,
    tenant="acme",
    pipeline="counting",
    pipeline_version=1,
    stage="read",
    revision=1,
    priority=4,
    attempt=1,
    max_attempts=3,
    lease=LEASE,
    traceparent="00-trace",
    document=DocumentReference("a.txt", "text/plain", 3, "d" * 64),
    params={},
    inputs={},
    input=Input("d" * 64),
)
LAST = replace(TASK, id=f"{JOB}:count:1", stage="count", inputs={"read": 1})
OUTPUT = StageOutput({"text": "abc"}, "b" * 64, 14, "d" * 64, Recipe(1))
FAILURE = Failure("ValueError", "broken", "page 3", "trace")
DOCUMENT = {
    "_id": TASK.id,
    "job": JOB,
    "attempt": 1,
    "max_attempts": 3,
    "lease": {"claim_id": "claim", "fence": 7, "worker": "worker-1"},
}


def holders(task: Task, failure: Failure = FAILURE, unit: str = "page", key: str = "key") -> list[Change]:
    """Every change that the holder of a task can make."""
    progress = Progress(1, 2, unit)
    return [
        transitions.complete(task, Succeeded(OUTPUT, progress), COUNTING),
        transitions.fail(task, failure),
        transitions.retry(task, failure, MINUTE),
        transitions.interrupt(task),
        transitions.snooze(task, MINUTE, failure.message),
        transitions.checkpoint(task, key, {"a": 1}, progress, MINUTE),
    ]


def updated(write: Write) -> Mapping[str, Any]:
    if isinstance(write.update, list):
        [stage] = write.update
        fields: Mapping[str, Any] = stage["$set"]
        return fields
    at_now = dict.fromkeys(write.update["$currentDate"], "$$NOW")
    return {**write.update["$set"], **at_now}


@pytest.mark.parametrize(
    "change", holders(TASK), ids=["complete", "fail", "retry", "interrupt", "snooze", "checkpoint"]
)
def test_every_write_of_a_holder_asks_for_its_lease(change: Change) -> None:
    assert change.guard.collection == "tasks"
    assert change.guard.filter == {
        "_id": TASK.id,
        "state": "running",
        "lease.claim_id": "claim",
        "lease.fence": 7,
    }


def test_the_fence_and_the_number_of_a_claim_are_never_written_by_a_holder() -> None:
    for change in holders(TASK):
        assert "lease.fence" not in updated(change.guard)
        assert "lease" not in updated(change.guard)


def test_an_end_gives_the_lease_back() -> None:
    for change in holders(TASK)[:5]:
        fields = updated(change.guard)
        assert [fields[f"lease.{name}"] for name in ("claim_id", "worker")] == [None] * 2
        delay = fields.get("run_at", "$$NOW")
        assert fields["lease.until"] == (None if delay == "$$NOW" else delay)


def test_states_after_each_outcome() -> None:
    states = [updated(change.guard).get("state") for change in holders(TASK)]
    assert states == ["succeeded", "failed", "ready", "ready", "ready", None]


def test_every_change_has_an_id_of_its_own() -> None:
    changes = [transitions.interrupt(TASK) for _ in range(50)]
    assert len({change.id for change in changes}) == 50


def test_admission_creates_the_first_task_once() -> None:
    run_at = datetime(2026, 1, 1, tzinfo=UTC)
    job = Submitted(JOB, "acme", "counting", 4, run_at, None, "d" * 64)
    change = transitions.admit(job, COUNTING, "00-trace")
    assert change.guard.filter == {"_id": JOB, "state": "submitted"}
    fields = updated(change.guard)
    assert (fields["state"], fields["pipeline_version"]) == ("running", 1)
    assert fields["stages"] == ["read", "count"]
    [(collection, task)] = change.creates
    assert (collection, task["_id"], task["state"]) == ("tasks", f"{JOB}:read:1", "ready")
    assert task["queue"] == queue_name("counting", 1, "read")
    assert (task["tenant"], task["priority"], task["run_at"]) == ("acme", 4, run_at)
    assert (task["attempt"], task["max_attempts"], task["lease"]["fence"]) == (0, 3, 0)
    assert (task["lease"]["worker"], task["lease"]["until"]) == (None, run_at)
    assert task["traceparent"] == "00-trace"


def test_what_is_due_at_once_is_not_delayed() -> None:
    change = transitions.admit(Submitted(JOB, "acme", "counting", 0, None, None, "d" * 64), COUNTING, None)
    assert change.creates[0][1]["run_at"] is None  # the server's now
    assert change.creates[0][1]["lease"]["until"] is None


def test_completion_writes_the_output_and_the_successor() -> None:
    change = transitions.complete(TASK, Succeeded(OUTPUT, Progress(2, 2)), COUNTING)
    (outputs, output), (tasks, successor) = change.creates
    assert (outputs, tasks, change.then) == ("outputs", "tasks", ())
    assert output["_id"] == TASK.id
    assert (output["claim_id"], output["fence"], output["input_sha256"]) == ("claim", 7, "d" * 64)
    assert output["body"] == {"text": "abc"}
    assert successor["_id"] == f"{JOB}:count:1"
    assert successor["inputs"] == {"read": 1}
    assert (successor["priority"], successor["tenant"], successor["attempt"]) == (4, "acme", 0)
    assert updated(change.guard)["progress"] == {"done": 2, "total": 2, "unit": "part", "note": None}


def test_completion_of_the_last_stage_ends_the_job() -> None:
    change = transitions.complete(LAST, Succeeded(OUTPUT, None), COUNTING)
    assert [collection for collection, _ in change.creates] == ["outputs"]
    [end] = change.then
    assert (end.collection, end.filter) == ("jobs", {"_id": JOB, "state": "running"})
    assert updated(end)["state"] == "succeeded"
    assert "progress" not in updated(change.guard)


def test_a_large_output_is_referred_to() -> None:
    change = transitions.complete(TASK, Succeeded(replace(OUTPUT, file_id="file"), None), COUNTING)
    output = change.creates[0][1]
    assert output["file_id"] == "file"
    assert "body" not in output


def test_failure_ends_the_job_with_its_reason() -> None:
    change = transitions.fail(TASK, FAILURE)
    [end] = change.then
    assert updated(end)["state"] == "failed"
    assert updated(end)["error"] == {
        "$literal": {"type": "ValueError", "message": "broken", "part": "page 3", "stage": "read"}
    }


def test_a_retry_waits_and_leaves_the_job_alone() -> None:
    change = transitions.retry(TASK, FAILURE, timedelta(seconds=1.5))
    assert change.then == ()
    fields = updated(change.guard)
    assert fields["run_at"] == fields["lease.until"] == {"$add": ["$$NOW", 1500]}
    assert "attempt" not in fields


def test_an_interruption_and_a_snooze_take_their_attempt_back() -> None:
    for change in (transitions.interrupt(TASK), transitions.snooze(TASK, MINUTE, "later")):
        assert updated(change.guard)["attempt"] == {"$subtract": ["$attempt", 1]}
        assert "errors" not in updated(change.guard)


def test_a_delay_stays_within_what_dates_can_hold() -> None:
    for change in (
        transitions.retry(TASK, FAILURE, timedelta.max),
        transitions.snooze(TASK, timedelta.max, "later"),
    ):
        assert updated(change.guard)["run_at"] == {"$add": ["$$NOW", 366 * 24 * 3600 * 1000]}


def test_a_rescue_counts_the_death_of_its_worker() -> None:
    assert "deaths" in updated(transitions.rescue(DOCUMENT, FAILURE, expired=True).guard)
    assert "deaths" not in updated(transitions.retry(TASK, FAILURE, MINUTE).guard)
    assert decisions.reopen_task()["$set"]["deaths"] == 0


@pytest.mark.parametrize(("task", "state"), [(None, "submitted"), (TASK.id, "running")])
def test_only_what_is_overdue_by_the_servers_clock_expires(task: str | None, state: str) -> None:
    change = transitions.expire(JOB, task, FAILURE)
    assert change.guard.filter["state"] == state
    assert change.guard.filter["$expr"] == {"$lte": ["$deadline", "$$NOW"]}
    assert updated(change.guard)["state"] == "failed"
    assert [write.filter["_id"] for write in change.then] == ([] if task is None else [TASK.id])


def test_a_pipelines_time_limit_never_puts_a_deadline_off() -> None:
    job = Submitted(JOB, "acme", "counting", 0, None, None, "d" * 64)
    fields = updated(transitions.admit(job, LIMITED, None).guard)
    assert fields["deadline"] == {"$min": ["$deadline", {"$add": ["$$NOW", 60_000]}]}
    assert fields["time_limit"] == 60_000
    assert "deadline" not in updated(transitions.admit(job, COUNTING, None).guard)


def test_a_stage_that_is_run_again_begins_afresh_under_its_new_revision() -> None:
    earlier = transitions.admit(
        Submitted(JOB, "acme", "counting", 4, None, "00-trace", "d" * 64), COUNTING, None
    ).creates[0][1]
    worn = {
        **earlier,
        "attempt": 3,
        "deaths": 2,
        "errors": [{}],
        "state": "failed",
        "commit": "an earlier one",
    }
    task = new_task.rerun_task(worn, 2, {}, worn["input"], None)
    assert task == {**earlier, "_id": f"{JOB}:read:2", "revision": 2}


@pytest.mark.parametrize("expired", [True, False])
def test_a_rescue_asks_whether_the_lease_is_still_the_one_it_saw(expired: bool) -> None:
    guard = transitions.rescue(DOCUMENT, FAILURE, expired=expired).guard
    assert guard.filter["lease.claim_id"] == "claim"
    assert guard.filter["lease.fence"] == 7
    assert ("$expr" in guard.filter) is expired
    assert updated(guard)["state"] == "ready"
    assert "attempt" not in updated(guard)


def test_a_rescue_without_attempts_left_fails_the_job() -> None:
    change = transitions.rescue({**DOCUMENT, "attempt": 3}, FAILURE, expired=True)
    assert updated(change.guard)["state"] == "failed"
    assert "$expr" in change.guard.filter
    assert updated(change.then[0])["error"]["$literal"]["stage"] == "read"


def test_errors_are_bounded() -> None:
    for change in (transitions.retry(TASK, FAILURE, MINUTE), transitions.fail(TASK, FAILURE)):
        assert updated(change.guard)["errors"]["$slice"][1] == -updates.MAX_ERRORS


def test_reopening_keeps_the_fence_and_starts_the_attempts_afresh() -> None:
    fields = decisions.reopen_task()["$set"]
    assert (fields["state"], fields["attempt"]) == ("ready", 0)
    assert "lease.fence" not in fields
    assert "errors" not in fields


def exposed(value: Any) -> Iterator[str]:
    """Every string that MongoDB would read as an expression: all that are outside of `$literal`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name != "$literal":
                yield from exposed(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from exposed(inner)


@given(st.text(max_size=20).map(lambda text: f"$planted{text}"))
def test_nothing_from_outside_is_read_as_an_expression(text: str) -> None:
    task = replace(TASK, lease=replace(LEASE, worker=text), traceparent=text)
    document = {**DOCUMENT, "lease": {**LEASE_FIELDS, "worker": text}}
    failure = Failure(text, text, text, text)
    changes = [
        *holders(task, failure, unit=text, key=text),
        transitions.rescue(document, failure, expired=True),
        transitions.rescue({**document, "attempt": 3}, failure, expired=False),
        transitions.expire(JOB, TASK.id, failure),
        transitions.admit(Submitted(JOB, "acme", "counting", 0, None, text, "d" * 64), COUNTING, text),
        transitions.admit(Submitted(JOB, "acme", "counting", 0, None, text, "d" * 64), LIMITED, text),
    ]
    updates = [write.update for change in changes for write in (change.guard, *change.then)]
    pipelines = [update for update in updates if isinstance(update, list)]
    assert not [found for update in pipelines for found in exposed(update) if "planted" in found]


LEASE_FIELDS: Mapping[str, Any] = {"claim_id": "claim", "fence": 7}
