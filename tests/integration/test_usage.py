"""Usage: what the endpoint counted is what is recorded, each request once, for its tenant alone."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from pipeline import (
    Budget,
    BudgetExceeded,
    Document,
    PermanentError,
    Snooze,
    Spent,
    StageContext,
    TemporaryError,
    run_stage,
    stage,
)
from pipeline.budgets import Allowance
from pipeline.client import Client
from pipeline.errors import NotFound, PartError
from pipeline.operator import Operator
from pipeline.planning import Unpriced
from pipeline.reprocess import Reprocess
from pipeline.store import Store
from pipeline.store.usage import Usage, asked_record, usage_record
from pipeline.trial import MemoryServices
from stages.llm import LlmSettings, llm
from stages.outputs import NerOutput
from tests.integration.paying import ONE, PAYING, Use, document
from tests.llm_documents import recognised
from tests.llm_faults import (
    ANSWER,
    Say,
    breaks_off,
    delta,
    error,
    fault_server,
    goes,
    hangs,
    says,
    status,
    streams,
)
from tests.records import claimed, committing, violations
from tests.support import COUNTING, Text, pipeline_of, running, submit, until


async def test_every_request_is_recorded_once_for_its_tenant(store: Store, use: Use) -> None:
    wrong = says({"type": "poem"})  # paid, and asked again
    acme, birch = Client(store, "acme"), Client(store, "birch")
    async with fault_server(wrong, says(ANSWER)) as server, running(store, PAYING):
        use(server)
        job = await submit(acme, "paying", document(2))
        assert (await until(store, job.id)).state == "succeeded"
        asked = len(server.requests)
        assert asked == 4  # a chunk twice, another one, and their merge
        again = await submit(acme, "paying", document(2))
        assert (await until(store, again.id)).state == "succeeded"
        assert len(server.requests) == asked
        other = await submit(birch, "paying", document(1))
        assert (await until(store, other.id)).state == "succeeded"
    found = await acme.usage(by="job")
    assert found.total.model_dump() == {
        "requests": asked,
        "input_tokens": 10 * asked,
        "output_tokens": 2 * asked,
        "pages": 0,
        "cost": asked * ONE,
        "unpriced": 0,
        "unsettled": 0,
    }
    assert [each.key for each in found.groups] == [job.id]
    assert (await acme.usage(job=again.id)).total.requests == 0
    assert (await birch.usage()).total.requests == 1
    with pytest.raises(NotFound):
        await birch.usage(job=job.id)
    everybody = await Operator(store).usage(by="tenant")
    assert {each.key: each.requests for each in everybody.groups} == {"acme": asked, "birch": 1}
    assert await violations(store) == {}


async def test_a_plan_costs_what_it_has_cost(store: Store, use: Use) -> None:
    client = Client(store)
    async with fault_server(says(ANSWER)) as server:
        use(server, models="dear")
        async with running(store, PAYING):
            job = await submit(client, "paying", document(2))
            assert (await until(store, job.id)).state == "succeeded"
    plan = await client.plan(Reprocess(stage="llm", force=True))
    assert (plan.tokens, plan.cost, plan.cost_unknown) == (36, (await client.usage()).total.cost, 0)
    plan = await client.plan(Reprocess(stage="llm", params={"llm": {"model": "dear"}}))
    assert (plan.cost, plan.cost_unknown, plan.unpriced) == (0, 1, [Unpriced(stage="llm", model="dear")])


async def test_what_a_failed_attempt_has_paid_stays_recorded(store: Store, use: Use) -> None:
    async with fault_server(says(ANSWER), error(401)) as server, running(store, PAYING):
        use(server)
        job = await submit(Client(store), "paying", document(2))
        assert (await until(store, job.id)).state == "failed"
    found = await Client(store).usage(job=job.id, by="model")
    assert [(each.key, each.requests, each.cost) for each in found.groups] == [("m", 1, ONE)]


@pytest.mark.parametrize("refusal", [says("", refusal="no"), says("", finish="content_filter")])
async def test_a_refusal_is_paid(tmp_path: Path, use: Use, refusal: Say) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    services = MemoryServices(file, {})
    earlier = (recognised("Oak and elm."), NerOutput(entities=[], engine="test"))
    async with fault_server(refusal) as server:
        use(server)
        with pytest.raises(PermanentError, match="refuses"):
            await run_stage(llm, file, earlier=earlier, services=services)
    assert services.spent == [Spent("m", 10, 2, cost=ONE)]


@pytest.mark.parametrize(
    ("answer", "free"),
    [
        (None, True),  # nothing listens there
        (error(429), True),
        (error(401), True),
        (error(500), True),
        (status(503), True),
        (status(504), False),
        (hangs, False),
        (breaks_off, False),
        (status(200, "<html>"), False),
        (error(200, code=429), False),
        (streams(delta("{"), {"error": {"code": 503}}), False),
        (streams(delta("{"), then=goes), False),
    ],
    ids=[
        "refused",
        "429",
        "401",
        "500",
        "503",
        "504",
        "timeout",
        "broken off",
        "HTML",
        "within whole",
        "within",
        "gone",
    ],
)
async def test_what_came_to_no_answer_counts_unless_it_was_surely_free(
    tmp_path: Path, use: Use, answer: Say | None, free: bool
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    services = MemoryServices(file, {})
    earlier = (recognised("Oak and elm."), NerOutput(entities=[], engine="test"))
    async with fault_server(answer or hangs) as server:
        use(server, timeout="1", max_tokens="100")
        if answer is None:
            use(server, base_url="http://127.0.0.1:9/v1")
        with pytest.raises((TemporaryError, PermanentError, Snooze)):
            await run_stage(llm, file, earlier=earlier, services=services)
    assert services.spent == []
    assert services.asked == {}
    assert len(services.given_up) == (0 if free else 1)
    for each in services.given_up:
        assert (each.model, each.output_tokens) == ("m", 100)
        assert each.input_tokens > 100
        assert each.cost == (15 * each.input_tokens + 60 * 100) / Decimal(10**8)


class Watched(MemoryServices):
    """Tells when a budget has refused something."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        self.refused = anyio.Event()

    async def may_spend(self, own: Budget | None, *, unpriced: str | None) -> bool:
        try:
            return await super().may_spend(own, unpriced=unpriced)
        except BudgetExceeded:
            self.refused.set()
            raise


async def test_what_is_under_way_when_a_budget_is_used_up_is_paid_and_kept(tmp_path: Path, use: Use) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    services = Watched(file)

    async def late(stream: SocketStream) -> None:
        await services.refused.wait()
        await says(ANSWER)(stream)

    text = recognised(*document(4).decode().split("\f"))
    earlier = (text, NerOutput(entities=[], engine="test"))
    async with fault_server(says(ANSWER), late) as server:
        use(server, concurrency="2", job_tokens="12")
        with pytest.raises(PartError) as caught:
            await run_stage(llm, file, earlier=earlier, services=services)
    assert isinstance(caught.value.__cause__, BudgetExceeded)
    assert len(server.requests) == len(services.spent) == 2
    assert {"chunk-1", "chunk-2"} <= services.saved.keys()


async def test_a_record_that_is_kept_again_stays_as_it_is(store: Store) -> None:
    [task] = await claimed(store)
    record = usage_record(task, Spent("$m", 10, 2, cost=ONE))
    await store.usage.keep(record)
    [first] = await store.db["usage"].find().to_list()
    await store.usage.keep(record)
    assert await store.db["usage"].find().to_list() == [first]
    assert first["model"] == "$m"
    assert first["tenant"] == "default"


async def test_what_was_asked_counts_once_nobody_can_tell_how_it_ended(store: Store) -> None:
    [task] = await claimed(store)
    other = Usage(store.db)  # another process, which has added up the day before
    await store.usage.keep(usage_record(task, Spent("m", 10, 2, cost=ONE)))
    asked = asked_record(task, Spent("m", 100, 50, cost=10 * ONE))
    for _ in range(2):
        await store.usage.ask(asked)
    for total in (await store.usage.of_job(task.tenant, task.job), await other.today(None)):
        assert (total.requests, total.tokens) == (1, 12)
    assert await Allowance(store, task).check(Budget(tokens=100), unpriced=None)
    await store.db["tasks"].update_one({"_id": task.id}, {"$set": {"lease.claim_id": "another"}})
    with pytest.raises(BudgetExceeded, match="162 of 100"):
        await Allowance(store, task).check(Budget(tokens=100), unpriced=None)
    for total in (await store.usage.today(task.tenant), await other.today(None)):
        assert (total.requests, total.tokens, total.cost) == (2, 162, 11 * ONE)
    assert (await Client(store).usage()).total.unsettled == 1
    # A holder that was only slow tells at last.
    await store.usage.keep(usage_record(task, Spent("m", 20, 4, cost=2 * ONE), asked["_id"]))
    await store.usage.ask(asked)
    total = (await Client(store).usage()).total
    assert (total.requests, total.tokens, total.cost, total.unsettled) == (2, 36, 3 * ONE, 0)


@stage(name="asking")
async def asking(document: Document, context: StageContext) -> Text:
    """Makes a request in each of the ways in which it can end."""
    likely = Spent("m", 100, 50)
    async with context.spending(likely) as request:
        await request.took(Spent("m", 1, 1))
    async with context.spending(likely) as request:
        request.free()
    with suppress(ZeroDivisionError):
        async with context.spending(likely):
            raise ZeroDivisionError
    with anyio.CancelScope() as scope:
        async with context.spending(likely):
            scope.cancel()
            await anyio.sleep_forever()
    return Text(text="")


async def test_a_stages_own_requests_are_settled_however_they_end(store: Store) -> None:
    async with running(store, pipeline_of(asking)):
        job = (await submit(Client(store), "test")).id
        assert (await until(store, job)).state == "succeeded"
    assert await store.db["usage"].count_documents({"asked": {"$exists": True}}) == 0
    total = (await Client(store).usage(job=job)).total
    assert (total.requests, total.unsettled, total.tokens) == (3, 2, 302)


@stage(name="late")
async def late(document: Document, context: StageContext) -> Text:
    """Is cancelled just when it has its answer."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await context.spend(Spent("m", pages=3))
    return Text(text=str(scope.cancelled_caught))


async def test_what_is_paid_is_recorded_though_the_attempt_is_cancelled(store: Store) -> None:
    async with running(store, pipeline_of(late)):
        job = await submit(Client(store), "test")
        assert (await until(store, job.id)).state == "succeeded"
    total = (await Client(store).usage(job=job.id)).total
    assert (total.requests, total.pages, total.unpriced, total.cost) == (1, 3, 1, Decimal(0))


async def test_sums_by_everything_and_of_a_span_of_time(store: Store) -> None:
    [task] = await claimed(store)
    for model, cost in (("small", None), ("large", Decimal("0.2")), ("large", Decimal("0.1"))):
        await store.usage.keep(usage_record(task, Spent(model, 10, 2, cost=cost)))
    [newest] = await store.db["usage"].find().sort("_id", -1).limit(1).to_list()
    yesterday = newest["at"] - timedelta(days=1)
    await store.db["usage"].update_one({"_id": newest["_id"]}, {"$set": {"at": yesterday}})
    client = Client(store)
    by_model = await client.usage(by="model")
    assert by_model.total.cost == Decimal("0.3")
    assert [(each.key, each.cost, each.unpriced) for each in by_model.groups] == [
        ("large", Decimal("0.3"), 0),
        ("small", 0, 1),
    ]
    days = (await client.usage(by="day")).groups
    assert [each.requests for each in days] == [2, 1]
    assert days[1].key == yesterday.date().isoformat()
    assert [(each.key, each.requests) for each in (await client.usage(by="stage")).groups] == [("read", 3)]
    assert (await client.usage(since=newest["at"] - timedelta(hours=1))).total.requests == 2
    assert (await client.usage(until=newest["at"] - timedelta(hours=1))).total.requests == 1
    assert len((await client.usage(by="model", limit=1)).groups) == 1


async def test_usage_outlives_its_job_and_a_jobs_budget_does_not(store: Store) -> None:
    client = Client(store)
    async with running(store, pipeline_of(late)):
        job = (await submit(client, "test")).id
        await until(store, job)
    await Operator(store).budget(f"job:{job}", tokens=5)
    async with committing(store) as commits:
        assert await store.cleanup.remove_job(job, timedelta(0), commits)
    assert (await client.usage(job=job)).total.requests == 1
    assert await Operator(store).budgets() == []


async def test_who_uses_nothing_has_no_collections_for_it(store: Store) -> None:
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"
    assert (await Client(store).usage()).total.requests == 0
    assert await Operator(store).budgets() == []
    assert not {"usage", "budgets"} & set(await store.db.list_collection_names())


@pytest.mark.parametrize("prices", ["{", '{"m": {"input": -1, "output": 1}}', '{"m": {"in": 1}}', "[]"])
def test_prices_that_cannot_be_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, prices: str) -> None:
    monkeypatch.setenv("MILLRACE_LLM_PRICES", prices)
    with pytest.raises(PermanentError, match="MILLRACE_LLM_PRICES"):
        LlmSettings.read()
