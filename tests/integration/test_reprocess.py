"""Many ended jobs run again as one batch: what that would take is told before, and only what differs runs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from anyio import to_thread
from bson import ObjectId
from pydantic import BaseModel
from typer.testing import CliRunner

from api.cli import app
from pipeline import Document, PermanentError, Price, StageContext, Tariff, stage
from pipeline.client import Client
from pipeline.errors import NotFound, SubmissionError
from pipeline.model import new_job_id
from pipeline.planning import Plan, Unpriced
from pipeline.reprocess import JobFilter, Reprocess, Reprocesses
from pipeline.store import Store
from pipeline.store.reprocesses import AT_ONCE
from pipeline.submission import job_document
from tests.integration.api_server import serving
from tests.integration.test_batches import ended
from tests.records import violations
from tests.support import pipeline_of, running, submit, until


class Usage(BaseModel):
    total_tokens: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Read(BaseModel):
    text: str
    pages: list[str]


class Answer(BaseModel):
    text: str
    usage: Usage


class Model(BaseModel):
    model: str = "small"


class Asking:
    """Two stages in the shape of the built-in ones, whose executions are noted by job."""

    def __init__(self, *, tokens: int = 7, engine: str = "one", tariff: Tariff | None = None) -> None:
        self.ran: list[tuple[str, str]] = []
        self.tokens, self.engine, self.broken = tokens, engine, False

        @stage(name="read")
        async def read(document: Document, context: StageContext) -> Read:
            self.ran.append((context.job, "read"))
            text = (await document.read()).decode()
            return Read(text=text, pages=text.split())

        @stage(name="ask", engine=lambda: self.engine, tariff=lambda: tariff)
        async def ask(read: Read, context: StageContext, params: Model) -> Answer:
            self.ran.append((context.job, "ask"))
            if self.broken:
                raise PermanentError("broken")
            usage = Usage(total_tokens=self.tokens)
            if tariff is not None:
                usage = Usage(total_tokens=self.tokens, prompt_tokens=self.tokens - 2, completion_tokens=2)
            return Answer(text=f"{params.model}: {read.text}", usage=usage)

        self.pipeline = pipeline_of(read, ask)

    def again(self) -> list[tuple[str, str]]:
        """Return what has run since this was asked last, in order of the jobs."""
        ran, self.ran = self.ran, []
        return sorted(ran)


def large(**options: Any) -> Reprocess:
    """Ask the large model."""
    return Reprocess(stage="ask", params={"ask": {"model": "large"}}, **options)


async def finished(store: Store, asking: Asking, count: int = 3, **options: Any) -> list[str]:
    """Jobs that have run once, of three pages each."""
    client = Client(store, options.pop("tenant", "default"))
    async with running(store, asking.pipeline):
        jobs = [(await submit(client, "test", **options)).id for _ in range(count)]
        for job in jobs:
            await until(store, job)
    asking.again()
    return jobs


async def many(store: Store, asking: Asking, count: int = AT_ONCE + 5) -> list[str]:
    """As `finished`, in bulk: more than begin in one transaction."""
    batch = await Client(store).create_batch(total=count)
    jobs = [job_document("test", name="a", content=b"one", batch=batch.id) for _ in range(count)]
    await store.db["jobs"].insert_many(jobs)
    async with running(store, asking.pipeline):
        await ended(store, batch.id)
    asking.again()
    return sorted(job["_id"] for job in jobs)


async def revisions(store: Store, jobs: list[str]) -> set[int]:
    found = store.db["jobs"].find({"_id": {"$in": jobs}}, {"revision": 1})
    return {each.get("revision", 1) async for each in found}


async def reprocessed(store: Store, asking: Asking, request: Reprocess) -> list[tuple[str, str]]:
    """Reprocess to the end, and return what has run."""
    async with running(store, asking.pipeline):
        batch = await Client(store).reprocess(request)
        await ended(store, batch.id)
    assert await violations(store) == {}
    return asking.again()


async def test_a_plan_and_what_comes_of_it(store: Store) -> None:
    asking, client = Asking(), Client(store)
    jobs = await finished(store, asking)
    others = await finished(store, asking, 1, tenant="acme")
    open_job = await submit(client, "test")
    plan = await client.plan(large())
    assert (plan.jobs, plan.unchanged, plan.refused, plan.open) == (3, 0, 0, [open_job.id])
    assert (plan.pages, plan.pages_unknown, plan.tokens, plan.tokens_unknown) == (9, 0, 21, 0)
    assert [(each.stage, each.run, each.reused) for each in plan.stages] == [("read", 0, 3), ("ask", 3, 0)]
    await client.cancel(open_job.id)

    assert await reprocessed(store, asking, large()) == [(job, "ask") for job in sorted(jobs)]
    usage = {"total_tokens": 7, "prompt_tokens": None, "completion_tokens": None}
    body = {"text": "large: one two three", "usage": usage}
    assert await client.output(jobs[0], "ask") == body
    assert (await client.get(jobs[0])).batch is not None
    assert (await Client(store, "acme").get(others[0])).batch is None
    plan = await client.plan(large())
    assert (plan.jobs, plan.unchanged, plan.stages) == (0, 3, [])
    assert await reprocessed(store, asking, large()) == []
    assert await reprocessed(store, asking, large(force=True)) == [(job, "ask") for job in sorted(jobs)]


async def test_the_batch_tells_how_far_it_is_and_no_values_of_params(store: Store) -> None:
    asking, client = Asking(), Client(store)
    await finished(store, asking)
    async with running(store, asking.pipeline):
        batch = await ended(store, (await client.reprocess(large(), name="large")).id)
    assert (batch.state, batch.name, batch.total, batch.jobs.succeeded) == ("succeeded", "large", 3, 3)
    assert batch.reprocess is not None
    told = batch.reprocess.model_dump()
    assert told["params"] == {"ask": ["model"]}
    assert (told["begun"], told["unchanged"], told["refused"], told["done"]) == (3, 0, 0, True)


async def test_another_engine_of_the_workers_is_noticed(store: Store) -> None:
    asking, client = Asking(), Client(store)
    jobs = await finished(store, asking)
    assert (await client.plan(Reprocess())).jobs == 0
    asking.engine = "two"
    async with running(store, asking.pipeline):  # it registers what it has
        assert (await client.plan(Reprocess())).jobs == 3
        await ended(store, (await client.reprocess(Reprocess())).id)
    assert asking.again() == [(job, "ask") for job in sorted(jobs)]


async def test_jobs_are_chosen(store: Store) -> None:
    asking, client = Asking(), Client(store)
    async with running(store, asking.pipeline):
        batch = await client.create_batch(total=2)
        for _ in range(2):
            await submit(client, "test", batch=batch.id)
        await ended(store, batch.id)
        asking.broken = True
        failed = (await submit(client, "test", media_type="application/pdf")).id
        await until(store, failed)
    asking.broken = False
    asking.again()

    async def chosen(**which: Any) -> int:
        return (await client.plan(large(filter=JobFilter(**which)))).jobs

    now = datetime.now(UTC)
    assert await chosen() == 2
    assert await chosen(state="failed") == 1
    assert await chosen(state="failed", type="application/pdf") == 1
    assert await chosen(type="application/pdf") == 0
    assert await chosen(batch=batch.id) == 2
    assert await chosen(pipeline="other") == 0
    assert await chosen(since=now - timedelta(hours=1), until=now + timedelta(hours=1)) == 2
    assert await chosen(since=now + timedelta(hours=1)) == 0
    assert await chosen(until=now - timedelta(hours=1)) == 0
    with pytest.raises(ValueError, match="time zone"):
        JobFilter(since=datetime(2030, 1, 1))
    assert await reprocessed(store, asking, Reprocess(filter=JobFilter(state="failed"))) == [(failed, "ask")]


async def test_what_can_not_run_again_is_named(store: Store) -> None:
    asking, client = Asking(), Client(store)
    async with running(store, asking.pipeline):
        batch = await client.create_batch(total=2)
        job = await submit(client, "test", batch=batch.id)
        await until(store, job.id)
    plan = await client.plan(large())
    assert (plan.jobs, plan.refused) == (0, 1)
    assert plan.examples[0].model_dump() == {"job": job.id, "why": f"its batch {batch.id} has not ended"}
    await client.close_batch(batch.id)
    plan = await client.plan(Reprocess(stage="none"))
    assert "has no stage 'none'; it has: read, ask" in plan.examples[0].why
    view = await client.reprocess(Reprocess(stage="none"))
    assert view.reprocess is not None
    assert (view.state, view.reprocess.refused) == ("succeeded", 1)
    assert view.reprocess.examples[0]["job"] == job.id


async def test_tokens_that_nobody_counted_are_unknown(store: Store) -> None:
    asking, client = Asking(tokens=0), Client(store)
    await finished(store, asking, 2)
    await store.db["outputs"].update_many({"stage": "read"}, {"$unset": {"body.pages": ""}})
    plan = await client.plan(large())
    assert (plan.tokens, plan.tokens_unknown, plan.pages, plan.pages_unknown) == (0, 2, 0, 2)


async def test_one_that_only_seemed_dead_begins_its_transaction_again(store: Store) -> None:
    asking = Asking()
    jobs = await finished(store, asking)
    batch = await Reprocesses(store, "default").create(large())
    locked, freed, tries = anyio.Event(), anyio.Event(), list[int]()

    async def slow(session: Any) -> None:
        tries.append(len(tries))
        for step in ("first", "second"):
            name = {"$set": {f"metadata.{step}": True}}
            await store.db["batches"].update_one({"_id": batch}, name, session=session)
            locked.set()
            await freed.wait()

    async with store.reruns.session() as session, anyio.create_task_group() as group:
        group.start_soon(store.reruns.transaction, slow, session)
        await locked.wait()
        await Reprocesses(store, "default").go_on(batch)
        assert await revisions(store, jobs) == {2}
        freed.set()
    assert len(tries) == 2
    stored = await store.db["batches"].find_one({"_id": batch})
    assert stored is not None
    assert stored["metadata"] == {"first": True, "second": True}
    assert stored["reprocess"]["begun"] == len(jobs)


async def test_a_plan_tells_the_cost_by_the_prices_of_the_models_that_would_be_asked(store: Store) -> None:
    prices = {
        "small": Price(input=Decimal(1), output=Decimal(2)),
        "v4.1 large": Price(input=Decimal(10), output=Decimal(20)),
    }
    asking, client = Asking(tariff=Tariff(param="model", model="small", prices=prices)), Client(store)
    await finished(store, asking, 2)

    async def planned(model: str | None) -> Plan:
        return await client.plan(Reprocess(stage="ask", params={"ask": {"model": model}}, force=True))

    plan = await planned("v4.1 large")
    assert (plan.cost, plan.cost_unknown, plan.unpriced) == (2 * Decimal("0.000090"), 0, [])
    assert [each.cost for each in plan.stages] == [0, plan.cost]
    assert (await planned(None)).cost == 2 * Decimal("0.000009")
    plan = await planned("huge")
    assert (plan.tokens, plan.cost, plan.cost_unknown) == (14, 0, 2)
    assert plan.unpriced == [Unpriced(stage="ask", model="huge")]
    # One whose endpoint told no tokens, and one that has never run.
    [first, second] = await store.db["jobs"].distinct("_id")
    await store.db["outputs"].update_one({"_id": f"{first}:ask:1"}, {"$set": {"body.usage.total_tokens": 0}})
    plan = await planned("small")
    assert (plan.cost, plan.cost_unknown, plan.unpriced) == (Decimal("0.000009"), 1, [])
    await store.db["outputs"].update_one(
        {"_id": f"{second}:ask:1"}, {"$unset": {"body": ""}, "$set": {"file_id": ObjectId()}}
    )
    assert (await planned("small")).cost_unknown == 2


async def test_prices_of_which_no_worker_told_are_named_as_unknown(store: Store) -> None:
    asking, client = Asking(), Client(store)
    await finished(store, asking, 1)
    plan = await client.plan(large())
    assert (plan.tokens, plan.cost, plan.cost_unknown) == (7, 0, 1)
    assert plan.unpriced == [Unpriced(stage="ask", model=None)]


async def test_it_goes_on_by_its_id_and_no_job_begins_twice(store: Store) -> None:
    asking, client = Asking(), Client(store)
    jobs = await many(store, asking)
    reprocesses, name = Reprocesses(store, "default"), new_job_id()
    assert await reprocesses.create(large(), id=name) == name
    assert await reprocesses.go_on(name)  # here its process dies
    view = await client.batch(name)
    assert (view.jobs.running, view.total) == (AT_ONCE, None)

    async def again() -> None:
        await client.reprocess(large(), id=name)

    async with running(store, asking.pipeline):
        async with anyio.create_task_group() as group:  # two at the same time
            group.start_soon(again)
            group.start_soon(again)
        view = await ended(store, name)
        await client.reprocess(id=name)
    assert (view.total, view.jobs.succeeded) == (len(jobs), len(jobs))
    assert await revisions(store, jobs) == {2}
    assert asking.again() == [(job, "ask") for job in jobs]
    assert await violations(store) == {}


async def test_two_at_once_leave_the_jobs_of_the_other_alone(store: Store) -> None:
    asking, client = Asking(), Client(store)
    jobs = await many(store, asking)
    batches: list[str] = []

    async def one() -> None:
        batches.append((await client.reprocess(large())).id)

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    async with running(store, asking.pipeline):
        ends = [await ended(store, batch) for batch in batches]
    assert sum(view.jobs.succeeded for view in ends) == len(jobs)
    assert await revisions(store, jobs) == {2}
    assert await violations(store) == {}


async def test_one_that_is_cancelled_begins_no_more(store: Store) -> None:
    asking, client = Asking(), Client(store)
    jobs = await many(store, asking)
    reprocesses = Reprocesses(store, "default")
    name = await reprocesses.create(large())
    assert await reprocesses.go_on(name)
    view = await client.cancel_batch(name)
    assert (view.state, view.jobs.cancelled) == ("cancelled", AT_ONCE)
    assert not await reprocesses.go_on(name)
    assert await revisions(store, jobs) == {1, 2}
    assert await violations(store) == {}


async def test_an_id_is_of_one_request_and_one_tenant(store: Store) -> None:
    client, name = Client(store), new_job_id()
    await client.reprocess(large(), id=name)
    with pytest.raises(SubmissionError, match="already"):
        await client.reprocess(Reprocess(), id=name)
    with pytest.raises(SubmissionError, match="begins with 'acme'"):
        await Client(store, "acme").reprocess(large(), id=name)
    with pytest.raises(NotFound):
        await Client(store, "acme").reprocess(id=name)
    batch = await client.create_batch()
    with pytest.raises(NotFound, match="no reprocess"):
        await client.reprocess(id=batch.id)
    with pytest.raises(SubmissionError, match="give the id"):
        await client.reprocess()


async def test_from_the_command_line_over_rest(store: Store) -> None:
    asking = Asking()
    jobs = await finished(store, asking, 2)

    async def told(*command: str, code: int = 0) -> str:
        run = CliRunner().invoke
        url = ("--url", f"http://127.0.0.1:{served.port}") if code < 2 else ()
        result = await to_thread.run_sync(lambda: run(app, [*command, *url], env={"COLUMNS": "200"}))
        assert result.exit_code == code, result.output
        return result.output

    choice = (
        "--stage",
        "ask",
        "--model",
        "large",
        "--filter",
        "state=succeeded",
        "--filter",
        "pipeline=test",
    )
    async with serving(store.settings, (asking.pipeline,)) as served, running(store, asking.pipeline):
        plan = await told("plan", *choice)
        assert "2 jobs of 6 pages would run again, 0 would give the same" in plan
        assert "at most 2" in plan
        assert "no price is known of any model of stage ask" in plan
        await told("reprocess", *choice, "--yes", "--watch")
        assert asking.again() == [(job, "ask") for job in sorted(jobs)]
        assert "0 run again, 2 would give the same" in await told("reprocess", *choice, "--yes")
        assert "give one of state" in await told("plan", "--filter", "colour=red", code=2)
        assert "say which with --stage" in await told("plan", "--model", "x", code=2)
        answer = await served.http.post("/v1/reprocess", json={"filter": {"state": "running"}})
        assert answer.status_code == 422
        await told("retry", jobs[0], "--from", "ask", "--params", '{"ask": {"model": "huge"}}')
        assert (await until(store, jobs[0])).state == "succeeded"
        assert (await served.get(f"/v1/jobs/{jobs[0]}/outputs/ask"))["text"] == "huge: one two three"
