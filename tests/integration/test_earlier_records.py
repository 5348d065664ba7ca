"""Records as an earlier release wrote them, word for word: read, run to their end, tried again, verified."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.client import Client
from pipeline.failures import Failures
from pipeline.store import Store
from tests.records import violations
from tests.support import COUNTING, running, until

LONG_AGO = datetime(2026, 1, 31, 8, tzinfo=UTC)
HASH = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
"""Of the three bytes that are the document."""


def job(number: int, state: str, **fields: Any) -> dict[str, Any]:
    document = {"name": "a.txt", "type": "text/plain", "size": 3, "sha256": HASH, "inline": b"one"}
    return {
        "_id": f"default.{number:032}",
        "tenant": "default",
        "pipeline": "counting",
        "document": document,
        "params": {},
        "metadata": {},
        "priority": 0,
        "run_at": None,
        "state": state,
        "created_at": LONG_AGO,
        "traceparent": None,
        **fields,
    }


def admitted(number: int, state: str, **fields: Any) -> dict[str, Any]:
    started = {"started_at": LONG_AGO, "pipeline_version": 1, "stages": ["read", "count"]}
    return job(number, state, **started, **fields)


def first_task(number: int, state: str, **fields: Any) -> dict[str, Any]:
    return {
        "_id": f"default.{number:032}:read:1",
        "job": f"default.{number:032}",
        "tenant": "default",
        "pipeline": "counting",
        "pipeline_version": 1,
        "stage": "read",
        "queue": "counting@1/read",
        "revision": 1,
        "inputs": {},
        "input": {"sha256": HASH, "output": None},
        "priority": 0,
        "max_attempts": 3,
        "traceparent": None,
        "state": state,
        "run_at": LONG_AGO,
        "created_at": LONG_AGO,
        "attempt": 0,
        "deaths": 0,
        "lease": {"claim_id": None, "fence": 0, "worker": None, "until": None},
        "progress": None,
        "errors": [],
        **fields,
    }


ERROR = {"type": "OSError", "message": "no bed", "part": None}
TOLD = {**ERROR, "trace": "Traceback", "attempt": 3, "worker": "worker-1", "at": LONG_AGO}
SUBMITTED, READY, RUNNING, FAILED = (f"default.{number:032}" for number in range(1, 5))


@pytest.fixture
async def earlier(store: Store) -> Store:
    lease = {"claim_id": "c", "fence": 1, "worker": "gone", "until": LONG_AGO}
    failed = {"finished_at": LONG_AGO}
    await store.db["jobs"].insert_many(
        [
            job(1, "submitted"),
            admitted(2, "running"),
            admitted(3, "running"),
            admitted(4, "failed", error={**ERROR, "stage": "read"}, **failed),
        ]
    )
    await store.db["tasks"].insert_many(
        [
            first_task(2, "ready"),
            first_task(3, "running", attempt=1, lease=lease, started_at=LONG_AGO),
            first_task(4, "failed", attempt=3, errors=[TOLD], **failed),
        ]
    )
    return store


async def test_they_are_verified_shown_and_run_to_their_end(earlier: Store) -> None:
    assert await violations(earlier) == {}
    client, failures = Client(earlier), Failures(earlier)
    assert [each.state for each in await client.jobs()] == ["failed", "running", "running", "submitted"]
    [count] = await failures.counts()
    assert (count.reason, count.count, count.stage) == ("OSError", 1, "read")
    [attempt] = (await failures.newest())[0].attempts
    assert (attempt.worker, attempt.trace) == ("worker-1", "Traceback")
    assert (await failures.retry()).handled == 1
    async with running(earlier, COUNTING):
        for each in (SUBMITTED, READY, RUNNING, FAILED):
            assert (await until(earlier, each)).state == "succeeded"
    assert {each.pipeline_version for each in await client.jobs()} == {1}
    assert await violations(earlier) == {}
