"""Breakers of outside services, shared by all workers: who uses one that is away waits, uncharged."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pipeline.breaker import IN_A_ROW, Breaker
from pipeline.client import Client
from pipeline.crashpoints import VARIABLE
from pipeline.errors import NotFound
from pipeline.model import SERVICE as SERVICES
from pipeline.model import Away, Snoozed
from pipeline.operator import Operator
from pipeline.outages import Outages
from pipeline.services import Services
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.controls import breaker_of
from tests.integration.api_server import serving
from tests.integration.calling import CALLING, OWN, PLAIN, SERVICE
from tests.records import stored, violations
from tests.support import reconciled, running, submit, until, worker_process

PRINTER = SERVICES + SERVICE
STAGE = "stage:calling/call"
CALLS = "tests.integration.calling:"


@pytest.fixture(autouse=True)
def environment(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages of this process find their service where the worker processes do."""
    assert store_settings.mongodb_uri is not None
    monkeypatch.setenv("MILLRACE_MONGODB_URI", store_settings.mongodb_uri.get_secret_value())
    monkeypatch.setenv("MILLRACE_DATABASE", store_settings.database)


async def service_is(store: Store, state: str, name: str = SERVICE, **details: Any) -> None:
    await store.db["outside"].replace_one({"_id": name}, {"is": state, **details}, upsert=True)


async def requests(store: Store) -> int:
    return await store.db["requests"].count_documents({})


async def breaker(
    store: Store, fits: Callable[[Breaker | None], bool], service: str = PRINTER
) -> Breaker | None:
    """Wait, by its changes, until the breaker is as wanted."""
    controls = store.db["controls"]
    with anyio.fail_after(60):
        async with await controls.watch() as stream:
            while True:
                found = breaker_of(await controls.find_one({"_id": service}))
                if fits(found):
                    return found
                await stream.try_next()
    raise AssertionError("not reached")


async def asked(store: Store, times: int) -> None:
    """Wait until the service was asked so often."""
    with anyio.fail_after(60):
        async with await store.db["requests"].watch() as stream:
            while await requests(store) < times:
                await stream.try_next()


async def listening(store: Store, workers: int) -> None:
    """Wait until so many workers are there and have read what is paused: they only hear of it from now on."""
    with anyio.fail_after(60):
        async with await store.db["workers"].watch() as stream:
            while len(await store.workers.alive()) < workers:
                await stream.try_next()
    await reconciled(store)


def is_open(breaker: Breaker | None) -> bool:
    return breaker is not None


def is_closed(breaker: Breaker | None) -> bool:
    return breaker is None


async def test_while_it_is_away_one_asks_for_all(store: Store, store_settings: StoreSettings) -> None:
    client = Client(store)
    await service_is(store, "away", retry_after=1)
    jobs = [(await submit(client, "calling")).id for _ in range(50)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            options = ("--slots", "2", "--pipeline", "tests.support:COUNTING")
            await stack.enter_async_context(worker_process(store_settings, CALLS + "CALLING", *options))
        opened = await breaker(store, lambda it: it is not None and it.failures >= 4)
        assert opened is not None
        assert opened.stages == (STAGE,)
        # Those that had begun before the first had failed, and one for each failure since.
        assert await requests(store) <= 3 * 2 + opened.failures
        other = await submit(client, "counting")
        assert (await until(store, other.id)).state == "succeeded"
        await service_is(store, "well")
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    assert await breaker(store, is_closed) is None
    attempts = await store.db["tasks"].distinct("attempt", {"stage": "call"})
    errors = await store.db["tasks"].count_documents({"errors": {"$ne": []}})
    assert (attempts, errors) == ([1], 0)
    assert await violations(store) == {}


async def test_two_that_settle_at_once_write_each_finding_once(store: Store) -> None:
    services = Services("w")
    outages = Outages(services, store.controls, "w", timedelta(seconds=45))
    names = [f"printer-{number}" for number in range(4)]
    for name in names:
        services.ended("t", STAGE, Snoozed(timedelta(seconds=5), "away", Away(name, "no paper", None)))
    async with anyio.create_task_group() as stopping:
        stopping.start_soon(outages.settle)
        stopping.start_soon(outages.settle)
    found = [breaker_of(each) for each in await store.controls.list()]
    assert [each.failures for each in found if each is not None] == [1] * len(names)


@pytest.mark.parametrize("pipeline", ["own", "own-first"])
async def test_a_service_of_one_tenant_that_is_away_parks_only_its_tasks(
    store: Store, store_settings: StoreSettings, pipeline: str
) -> None:
    client, other = Client(store, "acme"), Client(store, "beta")
    await service_is(store, "away", "llm/acme", retry_after=1)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(
                worker_process(store_settings, f"{CALLS}{pipeline.upper().replace('-', '_')}", "--slots", "2")
            )
        await listening(store, 3)
        jobs = [(await submit(client, pipeline)).id for _ in range(12)]
        await breaker(store, is_open, f"{SERVICES}llm/acme")
        others = []
        for _ in range(4):
            others.append((await submit(other, pipeline)).id)
            jobs.append((await submit(client, pipeline)).id)
        assert {(await until(store, job)).state for job in others} == {"succeeded"}
        opened = await breaker(store, lambda it: it is not None and it.failures >= 2, f"{SERVICES}llm/acme")
        assert opened is not None
        assert (
            await store.db["requests"].count_documents({"task": {"$regex": "^acme"}}) <= 6 + opened.failures
        )
        told = await client.why(jobs[0])
        assert [each.subject for each in told.reasons if each.kind == "away"] == [f"{SERVICES}llm/acme"]
        await service_is(store, "well", "llm/acme")
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    assert await store.db["tasks"].distinct("attempt") == [1]
    assert await store.db["tasks"].count_documents({"errors": {"$ne": []}}) == 0
    assert await violations(store) == {}


async def test_what_others_of_its_stage_call_is_no_reason_why_a_job_waits(store: Store) -> None:
    async with running(store, OWN):
        await until(store, (await submit(Client(store, "acme"), "own")).id)
    await Operator(store).pause(f"{SERVICES}llm/acme")
    for tenant, away in (("acme", [f"{SERVICES}llm/acme"]), ("beta", [])):
        client = Client(store, tenant)
        job = (await submit(client, "own")).id
        async with running(store, OWN, stages=["read"]):
            await until(store, job, ("succeeded",), stage="read")
        told = await client.why(job)
        assert [each.subject for each in told.reasons if each.subject] == away


async def test_a_task_that_was_made_before_its_stage_told_what_it_calls_waits_all_the_same(
    store: Store,
) -> None:
    client = Client(store, "acme")
    await service_is(store, "away", "llm/acme", retry_after=1)
    job = (await submit(client, "own")).id
    async with running(store, OWN, stages=["read"]):
        await until(store, job, ("succeeded",), stage="read")
    await store.db["tasks"].update_one({"stage": "own-call"}, {"$unset": {"service": ""}})
    async with running(store, OWN):
        await breaker(store, lambda it: it is not None and it.failures >= 2, f"{SERVICES}llm/acme")
        assert (await until(store, (await submit(Client(store, "beta"), "own")).id)).state == "succeeded"
        await service_is(store, "well", "llm/acme")
        assert (await until(store, job)).state == "succeeded"
    assert await violations(store) == {}


async def test_a_first_stage_that_only_tells_when_it_is_away_waits_as_long_as_it_was_asked_to(
    store: Store,
) -> None:
    client = Client(store)
    await service_is(store, "away", retry_after=2)
    async with running(store, PLAIN, WorkerSettings(slots=1)):
        jobs = [(await submit(client, "plain")).id for _ in range(3)]
        first = await breaker(store, is_open)
        second = await breaker(store, lambda it: it is not None and it.failures == 2)
        assert first is not None
        assert second is not None
        assert first.until is not None
        assert second.at >= first.until
        assert await requests(store) == 2
        await service_is(store, "well")
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    assert await breaker(store, is_closed) is None
    assert await requests(store) == 2 + len(jobs)


async def test_the_third_failure_in_a_row_opens_it_and_an_operator_closes_it(store: Store) -> None:
    client = Client(store)
    await service_is(store, "failing")
    async with running(store, CALLING, WorkerSettings(slots=1)):
        jobs = [(await submit(client, "calling")).id for _ in range(IN_A_ROW)]
        opened = await breaker(store, is_open)
        assert opened is not None
        assert (opened.failures, opened.why) == (1, "it is jammed")
        await service_is(store, "well")
        ended = await Operator(store).resume(PRINTER)
        assert ended.reason == "it is jammed"
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    errors = [error async for each in store.db["tasks"].find({"stage": "call"}) for error in each["errors"]]
    assert len(errors) == IN_A_ROW, "each may have been its document's fault"


async def test_it_stays_open_over_a_restart_of_all_workers_and_says_why(store: Store) -> None:
    client, operator = Client(store), Operator(store)
    await service_is(store, "away", retry_after=3600)
    async with running(store, CALLING):
        first = (await submit(client, "calling")).id
        await breaker(store, is_open)
    await service_is(store, "well")
    async with running(store, CALLING):
        second = (await submit(client, "calling")).id
        await until(store, second, ("ready", "running", "succeeded"), stage="call")
        assert (await stored(store, f"{second}:call:1"))["lease"]["fence"] == 0, "nobody has claimed it"
        [away] = [each for each in (await client.why(second)).reasons if each.kind == "away"]
        assert away.subject == PRINTER
        assert away.message.startswith("service printer is away until 2")
        assert away.message.endswith(": no paper")
        [view] = await operator.services()
        assert (view.state, view.until, view.stages) == ("away", away.until, [STAGE])
        assert await operator.pauses() == []
        assert await requests(store) == 1
        await operator.resume(PRINTER)
        assert {(await until(store, job)).state for job in (first, second)} == {"succeeded"}
    assert await operator.services() == []


async def test_an_operator_holds_it_before_anybody_has_called_it(store: Store) -> None:
    client, operator = Client(store), Operator(store)
    held = await operator.pause(PRINTER, "no more paper this month")
    assert await operator.pause(PRINTER, "again") == held
    async with running(store, CALLING):
        job = (await submit(client, "calling")).id
        await breaker(store, lambda it: it is not None and it.stages == (STAGE,))
        await until(store, job, ("ready",), stage="call")
        told = [each for each in (await client.why(job)).reasons if each.subject == PRINTER]
        assert [each.kind for each in told] == ["paused"]
        assert "no more paper this month" in told[0].message
        assert (await operator.services())[0].state == "held"
        assert await operator.pauses() == [held]
        assert await requests(store) == 0
        assert await operator.resume(PRINTER) == held
        assert (await until(store, job)).state == "succeeded"
    with pytest.raises(NotFound, match="not paused"):
        await operator.resume(PRINTER)
    with pytest.raises(NotFound, match="no spaces"):
        await operator.pause("service:a printer")


@pytest.mark.parametrize("moment", ["before its claim", "in its call"])
async def test_after_a_worker_was_killed_while_it_asked_another_asks(
    store: Store, store_settings: StoreSettings, moment: str
) -> None:
    client = Client(store)
    await service_is(store, "away", retry_after=1)
    jobs = [(await submit(client, "calling")).id for _ in range(2)]
    point = {VARIABLE: "probe.begun"} if moment == "before its claim" else {}
    lease = {"MILLRACE_WORKER_LEASE": "2"}
    async with worker_process(store_settings, CALLS + "CALLING", "--slots", "1", **lease, **point) as process:
        await breaker(store, is_open)
        if not point:
            await service_is(store, "hanging")
        opened = await breaker(store, lambda it: it is not None and it.probe is not None)
        if not point:
            await asked(store, 2)
            process.kill()
        with anyio.fail_after(30):
            await process.wait()
    await service_is(store, "well")
    async with running(store, CALLING, WorkerSettings(lease=timedelta(seconds=2))):
        assert {(await until(store, job)).state for job in jobs} == {"succeeded"}
    assert opened is not None
    assert opened.probe_until is not None
    started = [each["started_at"] async for each in store.db["tasks"].find({"stage": "call"})]
    assert min(started) >= opened.probe_until
    assert await violations(store) == {}


async def test_rest_lists_holds_and_closes(store: Store) -> None:
    async with serving(store.settings) as served:
        held = await served.http.post("/v1/pause", params={"subject": "service:openai", "reason": "unpaid"})
        assert (held.status_code, held.json()["reason"]) == (200, "unpaid")
        [service] = await served.get("/v1/services")
        assert {name: service[name] for name in ("subject", "state", "reason", "until", "stages")} == {
            "subject": "service:openai",
            "state": "held",
            "reason": "unpaid",
            "until": None,
            "stages": [],
        }
        resumed = await served.http.post("/v1/resume", params={"subject": "service:openai"})
        assert resumed.json() == held.json()
        assert await served.get("/v1/services") == []
