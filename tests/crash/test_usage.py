"""A worker that is killed between a request and its record: what was asked counts, and is asked again."""

import signal
from decimal import Decimal

import anyio
import pytest

from pipeline.client import Client
from pipeline.crashpoints import VARIABLE
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.usage import UsageTotals
from tests.crash.stalling import Stall, killed_at
from tests.integration.paying import document, told
from tests.llm_faults import ANSWER, FaultServer, fault_server, says
from tests.records import violations
from tests.support import submit, until, worker_process

WORKERS = "tests.integration.paying:PAYING"
LONGEST = 16
"""Tokens of an answer, at most."""


def settings_of(server: FaultServer) -> dict[str, str]:
    settings = {**told(server), "max_tokens": str(LONGEST)}
    return {f"MILLRACE_LLM_{name.upper()}": value for name, value in settings.items()}


def check_unsettled(total: UsageTotals, answered: int) -> None:
    """One request counts with the longest answer, and its prompt; the others as the endpoint counted them."""
    assert (total.requests, total.unsettled) == (answered + 1, 1)
    assert total.output_tokens == 2 * answered + LONGEST
    assert total.input_tokens > 10 * answered + 100
    assert total.unpriced == 0
    assert total.cost == (15 * total.input_tokens + 60 * total.output_tokens) / Decimal(10**8)


async def test_a_request_that_was_not_answered_when_its_worker_died_counts(
    store: Store, store_settings: StoreSettings
) -> None:
    client, stall = Client(store), Stall()
    async with fault_server(says(ANSWER), stall, says(ANSWER)) as server:
        own = settings_of(server)
        job = (await submit(client, "paying", document(2))).id
        await killed_at(stall, store, store_settings, WORKERS, own)
        check_unsettled((await client.usage(job=job)).total, 1)
        async with worker_process(store_settings, WORKERS, **own):
            assert (await until(store, job)).state == "succeeded"
    assert len(server.requests) == 4  # one of them never answered
    check_unsettled((await client.usage(job=job)).total, 3)
    assert await store.db["usage"].distinct("attempt") == [1, 2]
    assert await violations(store) == {}


@pytest.mark.parametrize("heard", ["at once", "when its lease ends"])
@pytest.mark.parametrize(("point", "asked"), [("usage.due", 2), ("usage.asked", 1)])
async def test_a_worker_is_killed_between_a_request_and_its_record(
    store: Store, store_settings: StoreSettings, point: str, asked: int, heard: str
) -> None:
    client, unsettled = Client(store), {"asked": {"$exists": True}}
    async with fault_server(says(ANSWER)) as server:
        own = settings_of(server)
        job = (await submit(client, "paying", document(2))).id
        dying = {**own, VARIABLE: f"{point}:2", "MILLRACE_WORKER_LEASE": "2"}
        async with worker_process(store_settings, WORKERS, "--name", "dead", **dying) as process:
            with anyio.fail_after(60):
                assert await process.wait() == -signal.SIGKILL
        assert len(server.requests) == asked
        assert await store.db["usage"].count_documents(unsettled) == 1
        if heard == "at once":
            assert (await client.usage(job=job)).total.requests == 1  # nobody knows yet that it has ended
            await release_worker(store, "dead")
            assert await store.db["usage"].count_documents(unsettled) == 0
            check_unsettled((await client.usage(job=job)).total, 1)
        async with worker_process(store_settings, WORKERS, **own):
            assert (await until(store, job)).state == "succeeded"
        assert await store.db["usage"].count_documents(unsettled) == 0
    check_unsettled((await client.usage(job=job)).total, 3)
    assert len(server.requests) == asked + 2  # the other chunk, and the merge
    assert await violations(store) == {}
