"""The task that a worker goes on with has everything of the one before but what is its own."""

import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from bson.timestamp import Timestamp

from pipeline.gates import Gates
from pipeline.handoff import HandOff
from pipeline.model import Again, Input, Succeeded, Task, queue_name
from pipeline.store.clock import ServerClock
from tests.support import COUNTING
from tests.unit.test_transitions import OUTPUT, TASK

OWN = {"id", "stage", "max_attempts", "lease", "inputs", "input", "as_of", "fresh", "reserved", "attempt"}


def test_whatever_a_task_knows_of_its_job_goes_on_with_it() -> None:
    """Each field has a value that isn't its default: one that was forgotten would be told from it."""
    lease_for = timedelta(seconds=45)
    clock = ServerClock(lease_for)
    clock.sample(datetime.now(UTC), time.monotonic())
    queue = queue_name("counting", 1, "count")
    hand_off = HandOff("worker-1", [queue], clock, lease_for, lambda _: True, Gates("worker-1", [queue]))
    given = {each.name: getattr(TASK, each.name) for each in fields(TASK)}
    before = Task(
        **{
            **given,
            "revision": 2,
            "attempt": 2,
            "params": {"count": {}},
            "batch": "acme.batch",
            "skip": frozenset({"other"}),
            "again": Again("changed", {"count": {}}),
            "reserved": {("tokens", "key", "llm"): 7},
        }
    )
    change, begin = hand_off.complete(before, Succeeded(OUTPUT, None), COUNTING)
    assert begin is not None
    as_of = Timestamp(1, 1)
    after = begin(as_of)
    for each in fields(after):
        if each.name not in OWN:
            assert getattr(after, each.name) == getattr(before, each.name), each.name
    [created] = [document for collection, document in change.creates if collection == "tasks"]
    lease = after.lease
    assert created["lease"].items() >= {"claim_id": lease.claim_id, "fence": 1, "worker": "worker-1"}.items()
    assert (after.id, after.stage, after.inputs) == (created["_id"], "count", {"read": 2})
    assert after.input == Input(OUTPUT.sha256, OUTPUT.body)
    assert (after.attempt, after.fresh, after.as_of, after.reserved) == (1, True, as_of, {})
