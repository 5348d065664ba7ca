"""Limits hold across all workers, are given back by whatever ends a task, and slow nothing else down."""

from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import accumulate
from typing import Any

import anyio
import pytest

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.errors import DefinitionError, NotFound
from pipeline.limit import Limit, Refusal
from pipeline.limits import Limits
from pipeline.operator import Operator
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.permits import Wanted
from tests.integration.capped import CAPPED
from tests.records import admitted, committing, queue, stored, violations
from tests.support import COUNTING, Text, pipeline_of, running, submit, until, worker_process

READ = "stage:counting/read"


def most_at_once(spans: list[dict[str, Any]]) -> int:
    """How many of these ran at the same time, at most."""
    moments = sorted([(each["begun"], 1) for each in spans] + [(each["ended"], -1) for each in spans])
    return max(accumulate(change for _, change in moments))


@pytest.mark.parametrize(
    ("subject", "accounts"),
    [("stage:capped/work", 1), ("tenant:default", 1), ("key:account/*", 2)],
    ids=["stage", "tenant", "each key"],
)
async def test_no_more_run_at_once_over_three_processes(
    store: Store, store_settings: StoreSettings, subject: str, accounts: int
) -> None:
    client = Client(store)
    await store.pipelines.register([CAPPED])
    await Operator(store).limit(subject, 2)
    own = {"params": {"work": {"account": "a"}}}, {"params": {"work": {"account": "b"}}}
    jobs = [(await submit(client, "capped", **own[number % accounts])).id for number in range(24)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(
                worker_process(store_settings, "tests.integration.capped:CAPPED", "--slots", "4")
            )
        for job in jobs:
            assert (await until(store, job)).state == "succeeded"
    spans: dict[str, list[dict[str, Any]]] = {}
    for number, job in enumerate(jobs):
        spans.setdefault(str(number % accounts), []).append(await client.output(job, "work"))
    assert [most_at_once(each) for each in spans.values()] == [2] * accounts
    assert await store.db["runs"].count_documents({}) == len(jobs)
    assert await violations(store) == {}


async def test_many_claims_at_once_are_granted_no_more_than_the_limit(store: Store) -> None:
    jobs = await admitted(store, 40)
    wanted = [Wanted(f"{job}:read:1", (READ,)) for job in jobs]
    got: list[str] = []

    async def claims(number: int) -> None:
        async with committing(store) as commits:
            permits = store.permits(commits)
            update = {"state": "running", "lease.worker": str(number), "lease.until": "$$NOW"}
            for each in (wanted[number::12], wanted[number + 6 :: 12]):  # nobody else's
                got.extend((await permits.grant(each, {READ: Limit(5)}, update)).claimed)

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(claims, number)
    assert len(got) == len(set(got)) == 5
    assert (await store.limits.running())[READ] == 5


async def test_a_refused_task_leaves_the_claims_index_and_says_why(store: Store) -> None:
    entered, leave = anyio.Event(), anyio.Event()

    @stage(name="slow")
    async def slow(document: Document, context: StageContext) -> Text:
        entered.set()
        await leave.wait()
        return Text(text="")

    client, operator = Client(store, "acme"), Operator(store)
    await operator.limit("tenant:acme", 1)
    async with running(store, pipeline_of(slow)):
        jobs = [(await submit(client, "test")).id for _ in range(4)]
        with anyio.fail_after(30):
            await entered.wait()
        for job in jobs:
            await until(store, job, ("running", "ready"), stage="slow")
        kinds = Counter([(await client.why(job)).reasons[0].kind for job in jobs])
        assert kinds == {"running": 1, "limited": 3}
        [view] = await operator.limits()
        assert (view.concurrency, view.running) == (1, 1)
        leave.set()
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    assert (await operator.limits())[0].running == 0
    assert await violations(store) == {}


async def test_the_permit_of_a_dead_worker_comes_back_with_its_lease(store: Store) -> None:
    [first, second] = await admitted(store, 2)
    async with committing(store) as commits:
        permits = store.permits(commits)
        wanted = [Wanted(f"{job}:read:1", (READ,)) for job in (first, second)]
        tasks, refused = await store.tasks.take_within(
            permits, wanted, {READ: Limit(1)}, "dead", timedelta(milliseconds=1)
        )
        assert [each.id for each in tasks] == [f"{first}:read:1"]
        assert refused == {f"{second}:read:1": Refusal(READ)}
    await Operator(store).limit("tenant:default", 1)
    async with running(store, COUNTING, WorkerSettings(lease=timedelta(seconds=1))):
        assert {(await until(store, job)).state for job in (first, second)} == {"succeeded"}
    assert (await stored(store, f"{first}:read:1"))["attempt"] == 2


async def test_a_limit_on_a_tenant_lets_a_job_go_on_and_one_on_the_next_stage_stops_it(store: Store) -> None:
    operator = Operator(store)
    await store.pipelines.register([COUNTING])
    await operator.limit("tenant:*", 1)
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
        task = await stored(store, f"{job.id}:count:1")
        assert task["created_at"] == task["started_at"]  # created as claimed: nobody had to ask
        await operator.unlimit("tenant:*")
    await operator.limit("stage:counting/count", 1)
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
        task = await stored(store, f"{job.id}:count:1")
        assert task["created_at"] < task["started_at"]
    assert [each.subject for each in await operator.limits()] == ["stage:counting/count"]


async def test_what_waits_goes_on_when_its_limit_is_taken_away(store: Store) -> None:
    entered, leave, both = anyio.Event(), anyio.Event(), anyio.Event()
    began: list[str] = []

    @stage(name="held", key="scarce")
    async def held(document: Document, context: StageContext) -> Text:
        began.append(context.job)
        (both if len(began) > 1 else entered).set()
        await leave.wait()
        return Text(text="")

    operator = Operator(store)
    await operator.limit("key:scarce", 1)
    async with running(store, pipeline_of(held)):
        jobs = [(await submit(Client(store), "test")).id for _ in range(2)]
        with anyio.fail_after(30):
            await entered.wait()
            await operator.unlimit("key:scarce")
            await both.wait()
        leave.set()
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}


async def test_whose_task_ends_begins_what_another_worker_was_refused(store: Store) -> None:
    entered, leave = anyio.Event(), anyio.Event()

    @stage(name="held", key="scarce")
    async def held(document: Document, context: StageContext) -> Text:
        entered.set()
        await leave.wait()
        return Text(text="")

    pipeline = pipeline_of(held)
    [job] = await admitted(store, pipeline=pipeline)
    task = await stored(store, f"{job}:held:1")
    of_job = await store.db["jobs"].find_one_and_delete({"_id": job})
    await store.db["tasks"].delete_one({"_id": task["_id"]})
    assert of_job is not None
    await Operator(store).limit("key:scarce", 1)
    async with running(store, pipeline, WorkerSettings(reconciliation=timedelta(hours=1))) as worker:
        await submit(Client(store), "test")
        with anyio.fail_after(30):
            await entered.wait()
        # What one leaves that was refused: nobody is woken by what comes to be in a pond.
        await store.db["jobs"].insert_one(of_job)
        await store.db["tasks"].insert_one({**task, "queue": f"{task['queue']}#key:scarce"})
        await store.refills.tell({("key:scarce", None): 3600.0}, "gone")
        while not worker.gates.limits.any_waits:  # noqa: ASYNC110 -- what it has heard makes no event
            await anyio.sleep(0.01)
        leave.set()
        assert (await until(store, job)).state == "succeeded"


def test_the_longest_name_goes_first() -> None:
    limits = Limits()
    assert not limits
    most = {"key:*": 9, "key:openai/*": 4, "key:openai/acme": 1, "tenant:*": 3}
    limits.replace({subject: Limit(each) for subject, each in most.items()})
    own = [limits.of(f"key:{name}") for name in ("other", "openai/x", "openai/acme")]
    assert own == [Limit(9), Limit(4), Limit(1)]
    assert limits.over(queue(), "acme", None) == ("tenant:acme",)
    assert limits.over(queue(), "acme", "k") == ("tenant:acme", "key:k")
    limits.set("tenant:*", None)
    assert limits.over(queue(), "acme", None) == ()


async def test_what_cannot_be_limited(store: Store) -> None:
    operator = Operator(store)
    for subject in ("pipeline:counting", "worker:one", "stage:counting/reed", "tenant:$ne", "key:"):
        with pytest.raises(NotFound):
            await operator.limit(subject, 1)
    with pytest.raises(ValueError, match="pause it"):
        await operator.limit("key:a", 0)
    with pytest.raises(NotFound, match="limited: nothing"):
        await operator.unlimit("key:a")


def test_a_key_names_only_what_there_is() -> None:
    with pytest.raises(DefinitionError, match="nonsense"):

        @stage(name="wrong", key="{nonsense}")
        async def wrong(document: Document, context: StageContext) -> Text:
            raise AssertionError
