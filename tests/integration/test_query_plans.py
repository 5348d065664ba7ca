"""Every hot query is answered by an index, however much else the database holds.

The verbs run as they are; the server's profiler tells how it answered them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.model import Again, queue_name
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.store.backlog import Backlog
from pipeline.store.documents import Documents
from pipeline.store.usage import asked_record, usage_record
from pipeline.submission import batch_document, job_document
from pipeline.usage import Spent
from tests.records import AT_ONCE, MINUTE, Doc, admitted, claimed, queue, stored

OTHERS = 3_000
ELSEWHERE = queue_name("elsewhere", 1, "read")


@pytest.fixture
async def crowded(store: Store) -> AsyncIterator[Store]:
    """A database in which thousands of documents have nothing to do with what is asked."""
    await store.db["jobs"].insert_many([_other_job(number) for number in range(OTHERS)])
    await store.db["tasks"].insert_many([_other_task(number) for number in range(OTHERS)])
    await store.db["checkpoints"].insert_many(
        [{"_id": f"other-{n}", "task": f"other-{n % 500}", "key": "a", "value": n} for n in range(OTHERS)]
    )
    await store.db["outputs"].insert_many([_other_output(number) for number in range(OTHERS)])
    yield store
    await store.db.command("profile", 0)


def _other_job(number: int) -> Doc:
    job = job_document(
        ("elsewhere", "counting")[number % 2],
        name="a",
        content=b"",
        tenant=("default", "other")[number % 2],
        idempotency_key=f"key-{number}",
    )
    return {**job, "state": "succeeded" if number % 2 else "submitted"}


def _other_task(number: int) -> Doc:
    """Some ready elsewhere, some due later, some running under good leases, most ended."""
    state = ("ready", "ready", "running", "succeeded", "succeeded", "failed")[number % 6]
    later = datetime.now(UTC) + timedelta(days=1, seconds=number)
    return {
        "_id": f"default.{number:020}:read:1",
        "job": f"default.{number:020}",
        "tenant": "default",
        "pipeline": "elsewhere",
        "stage": "read",
        "queue": queue() if number % 6 == 1 else ELSEWHERE,
        "revision": 1,
        "state": state,
        "priority": 0,
        "run_at": later if number % 6 == 1 else datetime.now(UTC),
        "attempt": 0,
        "max_attempts": 3,
        "lease": {
            "claim_id": str(number),
            "fence": 1,
            "worker": "other",
            "until": later if state == "running" or number % 6 == 1 else None,
        },
        "errors": [],
    }


def _other_output(number: int) -> Doc:
    return {
        "_id": f"default.{number:020}:read:1",
        "job": f"default.{number:020}",
        "tenant": "default",
        "stage": "read",
        "revision": 1,
        "claim_id": "",
        "input_sha256": "",
        "sha256": "",
        "body": {},
    }


async def profiled(store: Store, verb: Callable[[], Awaitable[Any]]) -> list[Doc]:
    """Run a verb; return how the server answered each command that read or updated by a query."""
    await store.db.command("profile", 2)
    await verb()
    await store.db.command("profile", 0)
    query = {"ns": {"$not": {"$regex": r"system\.profile"}}, "planSummary": {"$exists": True}}
    found = await store.db["system.profile"].find(query).to_list()
    await store.db.drop_collection("system.profile")
    assert found
    return found


def assert_by_index(answers: list[Doc], *, slack: int = 3) -> None:
    """Index scans only, no sort in memory, and hardly more looked at than found."""
    for answer in answers:
        plan = answer["planSummary"]
        assert "COLLSCAN" not in plan, answer
        assert not answer.get("hasSortStage"), answer
        found = max(answer.get("nreturned", 0), answer.get("nMatched", 0))
        assert answer["docsExamined"] <= 2 * found + slack, answer
        assert answer["keysExamined"] <= 2 * found + slack, answer


async def test_claim(crowded: Store) -> None:
    await admitted(crowded, 200, priorities=(0, 5))
    answers = await profiled(
        crowded, lambda: crowded.tasks.claim([queue(), queue(position=1)], 8, "worker-1", MINUTE)
    )
    assert_by_index(answers)
    candidates = next(each for each in answers if "sort" in each["command"])
    assert candidates["nreturned"] == 16
    assert candidates["keysExamined"] <= 20


async def test_a_claim_that_finds_nothing_looks_at_next_to_nothing(crowded: Store) -> None:
    """Five hundred tasks of this queue are due tomorrow."""
    answers = await profiled(crowded, lambda: crowded.tasks.claim([queue()], 8, "worker-1", MINUTE))
    assert_by_index(answers)


@pytest.mark.parametrize("fields", [{"priority": 0}, {}])
async def test_the_backlog_of_jobs_with_a_priority_and_without_one(crowded: Store, fields: Doc) -> None:
    waiting = [job_document("counting", name="a", content=b"") for _ in range(200)]
    for job in waiting:
        del job["priority"]
    await crowded.db["jobs"].insert_many([{**job, **fields} for job in waiting])
    backlog = Backlog(crowded.db, {"counting": [1], "elsewhere": [1]})
    answers = await profiled(crowded, lambda: backlog.best(8, None, whole=True))
    assert_by_index(answers, slack=12)  # a key of each index range that is merged


async def test_jobs_that_skip_the_first_stage_while_it_is_paused(crowded: Store) -> None:
    """Of the pipeline of which thousands wait that don't."""
    waiting = [job_document("elsewhere", name="a", content=b"", skip=["read"]) for _ in range(3)]
    other = job_document("elsewhere", name="a", content=b"", skip=["count"])
    later = {**job_document("elsewhere", name="a", content=b"", skip=["read"]), "pipeline_version": 2}
    await crowded.db["jobs"].insert_many([*waiting, other, later])
    backlog = Backlog(crowded.db, {"counting": [1], "elsewhere": [1]})
    await backlog.index_skipping()
    found: list[Doc] = []

    async def look() -> None:
        found.extend(await backlog.best(8, None, whole=True, closed={"elsewhere": [ELSEWHERE]}))

    answers = await profiled(crowded, look)
    assert {each["_id"] for each in found} == {each["_id"] for each in waiting}
    assert_by_index(answers, slack=12)


async def test_expired(crowded: Store) -> None:
    await claimed(crowded, 5, lease_for=AT_ONCE)
    answers = await profiled(crowded, lambda: crowded.tasks.expired(64))
    assert [each["nreturned"] for each in answers] == [5]
    assert_by_index(answers)


async def test_renewals(crowded: Store) -> None:
    tasks = await claimed(crowded, 5)
    answers = await profiled(
        crowded, lambda: crowded.tasks.renew([(task.id, task.lease, None) for task in tasks], MINUTE)
    )
    assert_by_index(answers)


async def test_of_worker(crowded: Store) -> None:
    await claimed(crowded, 3, worker="worker-1")
    [answer] = await profiled(crowded, lambda: crowded.tasks.of_worker("worker-1"))
    assert answer["planSummary"].startswith("IXSCAN")
    assert answer["nreturned"] == answer["docsExamined"] == 3
    assert answer["keysExamined"] <= OTHERS // 6 + 10  # of the running tasks alone, without reading them


async def test_the_next_due_time_and_lease_end(crowded: Store) -> None:
    for verb in (crowded.tasks.next_due, crowded.tasks.next_lease_end):
        answers = await profiled(crowded, verb)
        assert [each["nreturned"] for each in answers] == [1]
        assert_by_index(answers)


async def test_deadlines(crowded: Store) -> None:
    past, later = (datetime.now(UTC) + timedelta(hours=each) for each in (-1, 1))
    jobs = [
        job_document("counting", name="a", content=b"", deadline=past if number % 20 == 0 else later)
        for number in range(100)
    ]
    await crowded.db["jobs"].insert_many(jobs)
    await crowded.deadlines.index()
    answers = await profiled(crowded, lambda: crowded.deadlines.overdue(64))
    assert [each["nreturned"] for each in answers] == [5, 0]
    assert_by_index(answers)
    answers = await profiled(crowded, crowded.deadlines.next)
    assert [each["nreturned"] for each in answers] == [1]
    assert_by_index(answers)


async def test_submitted_jobs(crowded: Store) -> None:
    jobs = [job_document("counting", name="a", content=b"") for _ in range(5)]
    await crowded.db["jobs"].insert_many(jobs)
    now = await crowded.changes.now()
    backlog = Backlog(crowded.db, {"counting": [1], "nothing": [1]})
    answers = await profiled(crowded, lambda: backlog.best(9, now, whole=True))
    assert [each["nreturned"] for each in answers] == [5]
    assert_by_index(answers)
    answers = await profiled(crowded, lambda: backlog.read([job["_id"] for job in jobs], now))
    assert [each["nreturned"] for each in answers] == [5]
    assert_by_index(answers)
    assert await backlog.size(now) == 5


async def test_failures(crowded: Store) -> None:
    ids = [each["_id"] async for each in crowded.db["jobs"].find({"state": "succeeded"}).limit(400)]
    failed = {"state": "failed", "error": {"type": "Odd", "message": "a", "stage": "read"}}
    for start, reason in ((0, "Odd"), (10, "Even")):
        change = {**failed, "error": {**failed["error"], "type": reason}, "finished_at": datetime.now(UTC)}
        await crowded.db["jobs"].update_many({"_id": {"$in": ids[start : start + 300]}}, {"$set": change})
    verbs, odd, now = crowded.failures, {"reason": "Odd"}, datetime.now(UTC)
    [count, found] = await profiled(crowded, lambda: verbs.oldest(odd, None, now, 5))
    assert count["planSummary"].startswith("IXSCAN")
    assert count["keysExamined"] <= 320  # failures alone, whatever else there is
    assert (found["nreturned"], found["docsExamined"]) == (5, 5)
    [_, *answers] = await profiled(crowded, lambda: verbs.newest(odd, None, None, 5))
    assert_by_index(answers)


@pytest.mark.parametrize("before", [None, "default.ffff"])
@pytest.mark.parametrize("state", [None, "running"])
async def test_newest(crowded: Store, before: str | None, state: str | None) -> None:
    await admitted(crowded, 20)
    answers = await profiled(
        crowded, lambda: crowded.jobs.newest("default", limit=20, before=before, state=state)
    )
    assert [each["nreturned"] for each in answers] == [20]
    assert_by_index(answers)


async def test_by_idempotency_key(crowded: Store) -> None:
    keyed = {"tenant": "other", "idempotency_key": "key-1"}
    answers = await profiled(crowded, lambda: crowded.jobs._earlier(keyed))
    assert [each.get("nreturned", 0) for each in answers] == [0, 1]  # what has expired, and the job
    assert_by_index(answers)


async def test_checkpoints_of_a_task(crowded: Store) -> None:
    answers = await profiled(crowded, lambda: crowded.outputs.checkpoints("other-7"))
    assert [each["nreturned"] for each in answers] == [OTHERS // 500]
    assert_by_index(answers)


async def test_tasks_of_jobs(crowded: Store) -> None:
    ids = [f"default.{number:020}" for number in range(20)]
    [answer] = await profiled(crowded, lambda: crowded.jobs.tasks(ids))
    assert answer["planSummary"].startswith("IXSCAN")
    assert answer["docsExamined"] == answer["nreturned"] == 20


async def test_sweeping_uploads(crowded: Store) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b"abandoned"

    documents = Documents(crowded.db)
    await documents.store("default", "a", nothing())
    answers = await profiled(crowded, lambda: documents.sweep(timedelta(seconds=-1)))
    assert len(answers) >= 3
    assert_by_index(answers)


async def test_the_profiler_would_tell_of_a_collection_scan(crowded: Store) -> None:
    answers = await profiled(crowded, lambda: crowded.db["jobs"].find_one({"metadata.a": 1}))
    with pytest.raises(AssertionError):
        assert_by_index(answers)
    answers = await profiled(crowded, lambda: crowded.db["tasks"].find({}).sort("stage", 1).to_list(5))
    with pytest.raises(AssertionError):
        assert_by_index(answers)


async def test_what_is_held_back_is_met_by_no_claim(crowded: Store) -> None:
    held = [f"{job}:read:1" for job in await admitted(crowded, 1_000, tenant="acme")]
    assert await crowded.ponds.put(held, "tenant:acme") == 1_000
    await admitted(crowded, 3)
    answers = await profiled(crowded, lambda: crowded.tasks.ready([queue()], 8))
    assert_by_index(answers)
    assert answers[0]["nreturned"] == 3
    answers = await profiled(crowded, lambda: crowded.ponds.filled([queue()]))
    assert_by_index(answers)
    assert len(answers) == 2  # one pond, and no further one


async def test_counts_under_limits_and_of_what_comes_before(crowded: Store) -> None:
    [*_, last] = await admitted(crowded, 20)
    task = await stored(crowded, f"{last}:read:1")
    for verb in (crowded.limits.running, crowded.waits.held, lambda: crowded.waits.before_task(task)):
        for answer in await profiled(crowded, verb):
            assert "COLLSCAN" not in answer["planSummary"], answer
            assert answer["keysExamined"] <= OTHERS // 3, answer  # what runs, or is ready, and no more


async def test_strays(crowded: Store) -> None:
    """Jobs of which no worker knows the version, beside those that only wait."""
    job = {**job_document("counting", name="a", content=b""), "pipeline_version": 3}
    await crowded.db["jobs"].insert_one(job)
    known = {"counting": {1}, "elsewhere": {1}}
    assert_by_index(await profiled(crowded, lambda: crowded.strays.mark(known, AT_ONCE)), slack=12)
    [overdue] = await crowded.strays.overdue(10)
    assert overdue["_id"] == job["_id"]
    for verb in (
        lambda: crowded.strays.overdue(10),
        crowded.strays.next_end,
        lambda: crowded.strays.unmark([("elsewhere", 1)]),
    ):
        assert_by_index(await profiled(crowded, verb))


async def test_batches(crowded: Store) -> None:
    """A batch of two hundred jobs, beside hundreds of batches that have ended or wait to be closed."""
    others = [batch_document() | {"state": ("succeeded", "running")[n % 2]} for n in range(OTHERS // 10)]
    batch = batch_document(total=201)["_id"]
    await crowded.db["batches"].insert_many(
        [*others, {**others[0], "_id": batch, "state": "running", "total": 201}]
    )
    jobs = [job_document("counting", name="a", content=b"", batch=batch) for _ in range(200)]
    await crowded.db["jobs"].insert_many([{**job, "state": "succeeded"} for job in jobs])
    batches = crowded.batches
    assert await batches.counts([batch]) == {batch: {"succeeded": 200}}
    counted = await profiled(crowded, lambda: batches.counts([batch]))
    assert [(each["docsExamined"], each["keysExamined"] <= 201) for each in counted] == [(0, True)]
    answers = await profiled(
        crowded, lambda: crowded.jobs.newest("default", limit=20, before=None, state=None, batch=batch)
    )
    assert_by_index(answers, slack=8)
    await crowded.db["jobs"].insert_one(job_document("counting", name="a", content=b"", batch=batch))
    for verb in (
        lambda: batches.end(batch),
        lambda: batches.closed("", 10),
        lambda: batches.of_jobs([jobs[0]["_id"]]),
    ):
        assert_by_index(await profiled(crowded, verb))
    page = await profiled(crowded, lambda: batches.newest("default", limit=20, before=batch))
    assert_by_index(page)


@pytest.mark.parametrize("which", [{}, {"type": "text/plain", "since": datetime(2020, 1, 1, tzinfo=UTC)}])
async def test_ended_jobs_for_a_reprocess(crowded: Store, which: Doc) -> None:
    jobs = await admitted(crowded, 5)
    await crowded.db["jobs"].update_many({"_id": {"$in": jobs}}, {"$set": {"state": "succeeded"}})
    chosen = {"state": "succeeded", **which}
    answers = await profiled(crowded, lambda: crowded.reprocesses.ended("default", chosen, "", 50))
    assert [each["nreturned"] for each in answers if each["ns"].endswith(".jobs")] == [5]
    assert_by_index(answers)


async def test_an_earlier_output_that_may_be_reused(crowded: Store) -> None:
    [task] = await claimed(crowded)
    later = replace(task, revision=3, again=Again("changed"))
    answers = await profiled(crowded, lambda: crowded.reuse.find(later, Recipe(1)))
    assert_by_index(answers)


async def test_requests_whose_attempts_are_gone(crowded: Store) -> None:
    """Three, beside thousands that were settled, and those of another tenant."""
    tasks = await claimed(crowded, 3)
    await crowded.usage.ask(asked_record(tasks[0], Spent("m", 1, 1)))
    settled = [usage_record(tasks[0], Spent("m", 1, 1)) | {"job": f"other.{n}"} for n in range(OTHERS)]
    await crowded.db["usage"].insert_many(settled)
    jobs = [task.job for task in tasks]
    for verb in (
        lambda: crowded.usage.give_up_of(jobs),
        lambda: crowded.usage._give_up({}),
        lambda: crowded.usage._give_up({"tenant": "default"}),
        lambda: crowded.usage.of_job("default", tasks[0].job),
    ):
        assert_by_index(await profiled(crowded, verb))
