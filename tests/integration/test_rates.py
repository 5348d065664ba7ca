"""Rates hold across all workers, are settled with what was really used, and slow nothing else down."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pipeline import Cost, Document, Snooze, StageContext, run_stage, stage
from pipeline.client import Client
from pipeline.errors import DefinitionError, NotFound
from pipeline.intake import MOST_CANDIDATES
from pipeline.limit import Limit, Rate, Refusal
from pipeline.operator import Operator
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.permits import Wanted
from tests.integration.metered import METERED
from tests.records import MINUTE, admitted, committing, stored, violations
from tests.support import (
    COUNTING,
    Count,
    Text,
    pipeline_of,
    running,
    submit,
    until,
    worker_process,
)

WORK = "stage:metered/work"
ACCOUNT = "key:account/a"
HOUR = timedelta(hours=1)
"""Nothing that a test would notice flows back in it."""


def used(tokens: int | None = None, account: str = "a") -> dict[str, Any]:
    return {"params": {"work": {"account": account, "uses": tokens}}}


async def left(store: Store, subject: str, unit: str = "tokens") -> float:
    """What is left of a rate, what flows back meanwhile rounded away."""
    [limit] = [each for each in await Operator(store).limits() if each.subject == subject]
    [amount] = [each.left for each in limit.rates if each.unit == unit]
    assert amount is not None
    return round(amount)


def never_more(begun: Sequence[datetime], amount: float, seconds: float) -> None:
    """In no stretch of time more than a full bucket, and what has flown into it meanwhile."""
    times = sorted(begun)
    for first, last in combinations(range(len(times)), 2):
        flown = (times[last] - times[first]).total_seconds() * amount / seconds
        assert last - first + 1 <= amount + flown + 1e-6


async def test_over_three_processes_no_more_begin_than_a_rate_lets(
    store: Store, store_settings: StoreSettings
) -> None:
    client = Client(store)
    await store.pipelines.register([METERED])
    await Operator(store).limit(WORK, rate=6, per=timedelta(seconds=1))
    # Of another account: each lets two of 40 tokens begin at once, and one more each half a second.
    await Operator(store).limit("key:account/*", rate=80, per=timedelta(seconds=1), unit="tokens")
    jobs = [(await submit(client, "metered", **used(account="ab"[number % 2]))).id for number in range(16)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(
                worker_process(store_settings, "tests.integration.metered:METERED", "--slots", "4")
            )
        for job in jobs:
            assert (await until(store, job)).state == "succeeded"
    tasks = [await stored(store, f"{job}:work:1") for job in jobs]
    begun = [task["started_at"] for task in tasks]
    assert {task["attempt"] for task in tasks} == {1}
    never_more(begun, 6, 1)
    for account in (0, 1):
        never_more(begun[account::2], 2, 1)
    assert await violations(store) == {}


async def test_what_was_reserved_is_settled_with_what_was_used(store: Store) -> None:
    await store.pipelines.register([METERED])
    await Operator(store).limit(ACCOUNT, rate=100, per=HOUR, unit="tokens")
    for tokens, expected in ((10, 90), (None, 50), (130, -80)):
        async with running(store, METERED):
            job = await submit(Client(store), "metered", **used(tokens))
            assert (await until(store, job.id)).state == "succeeded"
        assert await left(store, ACCOUNT) == expected
    async with running(store, METERED):  # which fills nothing
        waiting = await submit(Client(store), "metered", **used(10))
        other = await submit(Client(store), "metered", **used(10, account="b"))
        assert (await until(store, other.id)).state == "succeeded"
        await until(store, waiting.id, ("ready",), stage="work")
        [reason] = [each for each in (await Client(store).why(waiting.id)).reasons if each.kind == "limited"]
        assert "100 tokens in 3600 s, has -80 left, and this takes 40" in reason.message
        assert reason.subject == ACCOUNT
        assert reason.until is not None
        now = await store.waits.now(waiting.id)
        assert now is not None
        assert timedelta(minutes=70) < reason.until - now <= timedelta(minutes=72)
        assert (await stored(store, f"{waiting.id}:work:1"))["attempt"] == 0
        await Operator(store).unlimit(ACCOUNT)
        assert (await until(store, waiting.id)).state == "succeeded"
    assert await violations(store) == {}


async def test_a_larger_rate_lets_go_on_what_waits(store: Store) -> None:
    operator, client = Operator(store), Client(store)
    await store.pipelines.register([METERED])
    await operator.limit(WORK, rate=1, per=HOUR)
    async with running(store, METERED):
        jobs = [(await submit(client, "metered", **used())).id for _ in range(3)]
        assert (await until(store, jobs[0])).state == "succeeded"
        # Refused: from then on the stage isn't looked at, and a job that came later isn't admitted.
        await until(store, jobs[1], ("ready",), stage="work")
        await operator.limit(WORK, rate=36_000, per=HOUR)
        for job in jobs:
            assert (await until(store, job)).state == "succeeded"
    assert [each.rates[0].amount for each in await operator.limits()] == [36_000]


async def test_an_attempt_that_asked_to_be_called_again_used_nothing(store: Store) -> None:
    @stage(name="work", key="account/a", cost=Cost("tokens", reserve=40))
    async def later(document: Document, context: StageContext) -> Text:
        attempts.append(await left(store, ACCOUNT))
        if len(attempts) == 1:
            raise Snooze(timedelta(0))
        return Text(text="")

    attempts: list[float] = []
    await store.pipelines.register([pipeline_of(later)])
    for rate, unit in ((100, "tokens"), (10, "tasks")):
        await Operator(store).limit(ACCOUNT, rate=rate, per=HOUR, unit=unit)
    async with running(store, pipeline_of(later)):
        job = await submit(Client(store), "test")
        assert (await until(store, job.id)).state == "succeeded"
    assert attempts[0] == 60
    assert await left(store, ACCOUNT) == 60  # of the second, which told nothing
    assert await left(store, ACCOUNT, "tasks") == 8  # both have begun
    assert (await stored(store, f"{job.id}:work:1"))["attempt"] == 1


async def test_a_claim_takes_only_of_what_it_gets_and_lets_nobody_overtake(store: Store) -> None:
    jobs = await admitted(store, 3)
    ids = [f"{job}:read:1" for job in jobs]
    limits = {"key:a": Limit(rates={"tokens": Rate(100, 3600.0)})}
    update = {"state": "running", "lease.worker": "one", "lease.until": "$$NOW"}
    wanted = [
        Wanted(task, ("key:a",), {"tokens": cost}) for task, cost in zip(ids, (70, 50, 10), strict=True)
    ]
    async with committing(store) as commits:
        permits = store.permits(commits)
        first = await permits.grant(wanted, limits, update)
        assert first.claimed == ids[:1]
        refusals = list(first.refused.values())
        assert refusals[0] == refusals[1]  # the small one waits behind the other
        wait = refusals[0].wait
        assert wait is not None
        assert 715 < wait <= 720
        assert refusals[0] == Refusal("key:a", "tokens", wait)
        again = await permits.grant(wanted[:1], limits, update)
        assert again.claimed == []
        assert again.refused == {}
    taken, _ = await store.rates.left(limits)
    assert round(taken["key:a", "tokens"]) == 30


async def test_tasks_that_cost_nothing_of_a_unit_pass_while_it_is_used_up(store: Store) -> None:
    @stage(name="cost", cost=Cost("tokens", reserve=40))
    async def cost(counted: Count, context: StageContext) -> Count:
        context.used("tokens", 1000)
        return counted

    pipeline, client = pipeline_of(*COUNTING.stages, cost), Client(store)
    await store.pipelines.register([pipeline])
    await Operator(store).limit("tenant:default", rate=40, per=HOUR, unit="tokens")
    async with running(store, pipeline):
        assert (await until(store, (await submit(client, "test")).id)).state == "succeeded"
        for _ in range(3):
            job = (await submit(client, "test")).id
            await until(store, job, ("ready",), stage="cost")
            handed_on = await stored(store, f"{job}:count:1")
            assert handed_on["created_at"] == handed_on["started_at"]  # nobody had to ask
            [reason] = [each for each in (await client.why(job)).reasons if each.kind == "limited"]
            assert reason.subject == "tenant:default"


async def test_a_stage_under_a_rate_is_not_handed_on_to(store: Store) -> None:
    await store.pipelines.register([COUNTING])
    await Operator(store).limit("tenant:default", rate=3, per=HOUR)
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
    assert await left(store, "tenant:default", "tasks") == 1
    task = await stored(store, f"{job.id}:count:1")
    assert task["created_at"] < task["started_at"]


async def test_a_cost_may_depend_on_the_input(store: Store) -> None:
    @stage(name="read")
    async def read(document: Document, context: StageContext) -> Text:
        return Text(text="1234567")  # 18 bytes as JSON

    @stage(name="count", cost=[Cost("tokens", reserve=5, per_byte=0.5), Cost("pages")])
    async def count(text: Text, context: StageContext) -> Count:
        return Count(words=1)

    async with running(store, pipeline_of(read, count)):
        job = await submit(Client(store), "test")
        assert (await until(store, job.id)).state == "succeeded"
    assert (await stored(store, f"{job.id}:count:1"))["cost"] == {"tokens": 14, "pages": 1}
    assert "cost" not in await stored(store, f"{job.id}:read:1")


async def test_what_cannot_be_a_rate(store: Store) -> None:
    operator = Operator(store)
    await store.pipelines.register([METERED, COUNTING])
    for subject in ("stage:counting/read", "stage:counting/*"):
        with pytest.raises(NotFound, match=r"units: tasks$"):
            await operator.limit(subject, rate=1, unit="tokens")
    with pytest.raises(NotFound, match=r"units: tasks, tokens$"):
        await operator.limit("tenant:*", rate=1, unit="pages")
    for wrong in ({"rate": 0}, {"rate": 1, "per": timedelta(0)}, {"rate": 1, "per": timedelta(days=32)}, {}):
        with pytest.raises(ValueError, match=r"a (rate|limit) is"):
            await operator.limit("tenant:*", **wrong)
    await operator.limit("tenant:*", rate=1)
    await operator.limit("tenant:*", 2)
    view = await operator.limit("tenant:*", rate=5, per=MINUTE, unit="tokens")
    assert (view.concurrency, [each.unit for each in view.rates]) == (2, ["tasks", "tokens"])


async def test_an_idle_worker_that_was_not_refused_looks_when_it_was_told_that_a_rate_refills(
    store: Store,
) -> None:
    [job] = await admitted(store, pipeline=METERED)
    task = await stored(store, f"{job}:work:1")
    of_job = await store.db["jobs"].find_one_and_delete({"_id": job})
    await store.db["tasks"].delete_one({"_id": task["_id"]})
    assert of_job is not None
    async with running(store, METERED, WorkerSettings(reconciliation=HOUR)):
        await Operator(store).limit("key:account/", rate=80, per=HOUR, unit="tokens")
        assert (await until(store, (await submit(Client(store), "metered")).id)).state == "succeeded"
        # What one leaves that was refused: nobody is woken by what comes to be in a pond.
        await store.db["jobs"].insert_one(of_job)
        await store.db["tasks"].insert_one({**task, "queue": f"{task['queue']}#key:account/"})
        await store.refills.tell({("key:account/", "tokens"): 1.0}, "gone")
        assert (await until(store, job)).state == "succeeded"
    assert await violations(store) == {}


async def test_what_stands_behind_more_than_one_look_sees_of_what_is_held_back_begins(store: Store) -> None:
    """Of the same tenant, so that no fair share finds it, and with nothing else that wakes the worker."""
    client, operator = Client(store), Operator(store)
    await store.pipelines.register([METERED])
    await operator.limit("key:account/", rate=40, per=HOUR, unit="tokens")
    async with running(store, METERED, WorkerSettings(reconciliation=HOUR)) as worker:
        assert (await until(store, (await submit(client, "metered")).id)).state == "succeeded"
        refused = await submit(client, "metered")
        async with await store.db["tasks"].watch() as moved:
            while not await store.db["tasks"].find_one({"job": refused.id, "queue": {"$regex": "#"}}):
                await moved.next()
        await operator.pause(WORK)
        await worker.gates.known(WORK, closed=True)
        [job] = await admitted(store, pipeline=METERED)
        template = await stored(store, f"{job}:work:1")
        await store.db["tasks"].insert_many(
            [{**template, "_id": f"{template['_id']}{number}"} for number in range(2 * MOST_CANDIDATES)]
        )
        [last] = await admitted(store, pipeline=METERED)
        await store.db["tasks"].update_one({"job": last}, {"$set": {"key": "account/b"}})
        await operator.resume(WORK)
        assert (await until(store, last)).state == "succeeded"


async def test_one_limit_of_a_subject_is_taken_away(store: Store) -> None:
    operator = Operator(store)
    await store.pipelines.register([METERED])
    await operator.limit("tenant:*", 2, rate=5)
    await operator.limit("tenant:*", rate=9, unit="tokens")
    with pytest.raises(NotFound, match="a concurrency, a rate of tasks, a rate of tokens"):
        await operator.unlimit("tenant:*", rate=True, unit="pages")
    left = await operator.unlimit("tenant:*", unit="tokens")
    assert (left.concurrency, [each.unit for each in left.rates]) == (2, ["tasks"])
    left = await operator.unlimit("tenant:*", concurrency=True)
    assert (left.concurrency, [each.unit for each in left.rates]) == (None, ["tasks"])
    with pytest.raises(NotFound, match="no such limit"):
        await operator.unlimit("tenant:*", concurrency=True)
    await operator.unlimit("tenant:*", rate=True)
    assert await operator.limits() == []
    with pytest.raises(NotFound, match="not limited"):
        await operator.unlimit("tenant:*")


async def test_what_waits_for_a_rate_begins_as_only_that_is_taken_away(store: Store) -> None:
    client, operator = Client(store), Operator(store)
    async with running(store, METERED):
        await operator.limit(ACCOUNT, 1, rate=40, per=HOUR, unit="tokens")
        assert (await until(store, (await submit(client, "metered", **used())).id)).state == "succeeded"
        waits = (await submit(client, "metered", **used())).id
        async with await store.db["tasks"].watch() as stream:
            while not await store.db["tasks"].find_one({"job": waits, "queue": f"metered@1/work#{ACCOUNT}"}):
                await stream.next()
        await operator.unlimit(ACCOUNT, rate=True)
        assert (await until(store, waits)).state == "succeeded"


async def test_a_stage_uses_only_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")

    @stage(name="free")
    async def free(document: Document, context: StageContext) -> Text:
        context.used("tokens", 1)
        raise AssertionError

    with pytest.raises(ValueError, match="cost=Cost"):
        await run_stage(free, tmp_path / "a.txt")
    for unit in ("tasks", "Tokens", "a.b", ""):
        with pytest.raises(DefinitionError, match="unit"):
            Cost(unit)
    with pytest.raises(DefinitionError, match="from 0"):
        Cost("tokens", reserve=-1)
    with pytest.raises(DefinitionError, match="two costs of one unit"):
        stage(name="twice", cost=[Cost("tokens"), Cost("tokens")])


def test_a_bucket() -> None:
    rate = Rate(60, 60.0)
    assert rate.left(10, 5) == 15
    assert rate.left(10, 500) == 60
    assert rate.left(10, -5) == 10  # the server's clock was set back
    assert rate.wait(10, 10) == 0
    assert rate.wait(-5, 10) == 15
    assert rate.wait(59, 500) == 1  # more than it ever holds: it begins when it is full
