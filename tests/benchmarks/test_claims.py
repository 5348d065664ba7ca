"""Claims are told apart by what the profiler notes of each client."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from benchmarks.claims import LOOKS_AND_TAKES, claims, while_work_was_ready
from benchmarks.profiler import Entry, profiled
from pipeline.store import Store
from pipeline.store.backlog import Backlog
from pipeline.submission import job_document
from tests.records import MINUTE, admitted, queue

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def noted() -> Any:
    """Makes entries as the profiler would, a millisecond apart."""
    ticks = count()

    def entry(client: str, namespace: str, taken: int | None = None) -> Entry:
        at = START + timedelta(milliseconds=next(ticks))
        made: Entry = {"appName": client, "ns": f"bench.{namespace}", "ts": at, "op": "query"}
        return made if taken is None else {**made, "op": "update", "nMatched": taken}

    return entry


def test_looking_for_jobs_and_tasks_is_one_claim(noted: Any) -> None:
    found = claims([noted("a", "tasks"), noted("a", "jobs"), noted("a", "jobs", 3), noted("a", "tasks", 1)])
    assert [each.taken for each in found] == [4]


def test_looking_again_is_another_claim(noted: Any) -> None:
    found = claims([noted("a", "jobs"), noted("a", "tasks"), noted("a", "jobs"), noted("a", "jobs", 2)])
    assert [each.taken for each in found] == [0, 2]


def test_clients_claim_beside_each_other(noted: Any) -> None:
    found = claims([noted("a", "jobs"), noted("b", "jobs"), noted("b", "jobs", 0), noted("a", "jobs", 2)])
    assert [each.taken for each in found] == [2, 0]


def test_what_comes_after_the_last_success_does_not_count(noted: Any) -> None:
    entries = [noted("a", "jobs"), noted("b", "jobs"), noted("b", "jobs", 1), noted("b", "jobs")]
    assert [each.taken for each in while_work_was_ready(claims(entries))] == [0, 1]


async def test_a_look_at_the_backlog_is_one(store: Store) -> None:
    """Of two reads, when the first may not have seen all."""
    await store.db["jobs"].insert_many([job_document("counting", name="a", content=b"") for _ in range(3)])
    backlog = Backlog(store.db, {"counting": [1]})
    async with profiled(store, LOOKS_AND_TAKES) as entries:
        assert len(await backlog.best(2, None, whole=True)) == 2
    assert len(claims(entries)) == 1


async def test_the_engines_own_claims_are_seen(store: Store) -> None:
    """One that gets something, one that finds nothing; what else was done is none."""
    await admitted(store, 2)
    async with profiled(store, LOOKS_AND_TAKES) as entries:
        assert len(await store.tasks.claim([queue()], 4, "worker-1", MINUTE)) == 2
        assert await store.tasks.claim([queue()], 4, "worker-1", MINUTE) == []
        await store.tasks.of_worker("worker-1")
    assert [each.taken for each in claims(entries)] == [2, 0]
