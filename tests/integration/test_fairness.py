"""One tenant's many documents do not keep another's one from its turn."""

import anyio
import pytest

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.feed import Feed
from pipeline.model import tenant_of
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from tests.records import admitted, queue, violations
from tests.support import Count, Text, pipeline_of, running, submit, until

MANY = 60


@pytest.mark.parametrize("worked_on", ["submitted jobs", "ready tasks"])
async def test_one_document_behind_many(store: Store, worked_on: str) -> None:
    began: list[str] = []

    @stage(name="read")
    async def first(document: Document, context: StageContext) -> Text:
        began.append(tenant_of(context.job))
        return Text(text="")

    @stage(name="count")
    async def second(text: Text, context: StageContext) -> Count:
        return Count(words=0)

    pipeline = pipeline_of(first, second, name="counting")
    if worked_on == "ready tasks":
        await admitted(store, MANY, tenant="large", pipeline=pipeline)
        [job] = await admitted(store, tenant="small", pipeline=pipeline)
    else:
        for _ in range(MANY):
            await submit(Client(store, "large"), "counting")
        job = (await submit(Client(store, "small"), "counting")).id
    async with running(store, pipeline, WorkerSettings(slots=1)):
        assert (await until(store, job)).state == "succeeded"
    assert began.index("small") <= 3
    assert await violations(store) == {}


async def test_a_job_under_way_lets_a_tenant_that_is_owed_go_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server's time is known, however long a busy machine takes to ask for it: it would go on otherwise.
    monkeypatch.setattr("pipeline.store.clock.LONGEST_ROUND_TRIP", 60)
    began: list[tuple[str, str]] = []
    entered, leave = anyio.Event(), anyio.Event()

    @stage(name="first")
    async def first(document: Document, context: StageContext) -> Text:
        began.append((tenant_of(context.job), "first"))
        if tenant_of(context.job) == "large" and not entered.is_set():
            entered.set()
            await leave.wait()
        return Text(text="")

    @stage(name="second")
    async def second(text: Text, context: StageContext) -> Count:
        began.append((tenant_of(context.job), "second"))
        return Count(words=0)

    feed = Feed(store.changes)
    async with running(store, pipeline_of(first, second), WorkerSettings(slots=1), feed=feed):
        # What a worker looks for when it starts may be of any priority, and goes first: let it have looked.
        with anyio.fail_after(30):
            await feed.opened()
        await until(store, (await submit(Client(store, "other"), "test")).id)
        began.clear()
        large = [(await submit(Client(store, "large"), "test")).id for _ in range(3)]
        with anyio.fail_after(30):
            await entered.wait()
            with feed.subscribe("small") as heard:
                small = (await submit(Client(store, "small"), "test")).id
                await heard.receive()
        leave.set()
        for job in (small, *large):
            assert (await until(store, job)).state == "succeeded"
    assert began[:2] == [("large", "first"), ("small", "first")]


async def test_who_waits_is_found_by_index_however_much_others_have(store: Store) -> None:
    await admitted(store, 300, tenant="large")
    await admitted(store, 2, tenant="small")
    await store.db.command("profile", 2)
    assert sorted(await store.tenants.with_open_jobs()) == ["large", "small"]
    jobs = await store.tenants.oldest(["large", "small"], "running", 4)
    ready = await store.tenants.ready(jobs, [queue()])
    await store.db.command("profile", 0)
    assert len(jobs) == len(ready) == 6
    answers = await store.db["system.profile"].find({"planSummary": {"$exists": True}}).to_list()
    own = [each for each in answers if "profile" not in each["ns"]]
    assert own
    for each in own:
        assert "COLLSCAN" not in each["planSummary"], each
        assert each["keysExamined"] <= 20, each
        assert not each.get("hasSortStage"), each
