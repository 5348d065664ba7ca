"""The majority is lost, for many leases, and comes back: what ran goes on, and nothing is stolen."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pipeline.store import Store
from tests.faults.conftest import LONG, installed, only_long, settings_of
from tests.faults.gate import PAGES, Gate, gate
from tests.faults.load import drained
from tests.integration.api_server import Api, serving
from tests.records import violations
from tests.replica_set import Member, ReplicaSet

AWAY = 60.0 if LONG else 10.0
"""Seconds without a majority."""
LEASE = "2"
WORKERS = 3
JOBS = 2 * WORKERS
TIMEOUT = 4.0
"""Seconds that one operation of the database may take, as the API is set here."""

Done = Callable[[list[Member]], Awaitable[None]]


@asynccontextmanager
async def busy(store: Store, folder: Path) -> AsyncIterator[Gate]:
    """Workers in the middle of two documents each."""
    async with AsyncExitStack() as stack:
        shut = await stack.enter_async_context(gate(folder))
        for number in range(WORKERS):
            worker = shut.worker(store.settings, f"worker-{number}", MILLRACE_WORKER_LEASE=LEASE)
            await stack.enter_async_context(worker)
        await shut.held(store, JOBS)
        yield shut


async def unready(api: Api) -> None:
    """Wait until the API says that it is not ready: within ten seconds."""
    with anyio.fail_after(10):
        while (await api.http.get("/health/ready")).status_code == 200:
            pass


async def post(api: Api) -> httpx.Response:
    """Submit always the same."""
    return await api.post(b"the same", key="the same", pipeline="pages")


async def refused(api: Api) -> None:
    """Submit: the API must say in time that it can't take it, and when to come again."""
    with anyio.fail_after(2 * TIMEOUT):
        answer = await post(api)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0


async def renewed(store: Store, times: int) -> None:
    """Wait until every running task's lease was renewed so often."""
    renewals = dict.fromkeys([task["_id"] async for task in store.db["tasks"].find({"state": "running"})], 0)
    assert len(renewals) == JOBS
    with anyio.fail_after(60):
        async with await store.db["tasks"].watch() as changes:
            while min(renewals.values()) < times:
                change: dict[str, Any] | None = await changes.try_next()
                if change is not None and "lease.until" in str(change.get("updateDescription")):
                    renewals[change["documentKey"]["_id"]] += 1


async def pause(members: list[Member]) -> None:
    for member in members:
        member.pause()


async def resume(members: list[Member]) -> None:
    for member in members:
        member.resume()


async def kill(members: list[Member]) -> None:
    for member in members:
        await member.kill()


async def start(members: list[Member]) -> None:
    for member in members:
        await member.start()


@pytest.mark.parametrize(
    ("lose", "bring_back", "primary_too"),
    [
        pytest.param(pause, resume, False, id="secondaries paused"),
        pytest.param(kill, start, True, id="primary killed", marks=only_long),
        pytest.param(pause, resume, True, id="primary paused", marks=only_long),
        pytest.param(kill, start, False, id="secondaries killed", marks=only_long),
    ],
)
@pytest.mark.timeout(AWAY + 120)
async def test_a_lost_majority_suspends_attempts_and_charges_none(
    replicas: ReplicaSet, tmp_path: Path, lose: Done, bring_back: Done, primary_too: bool
) -> None:
    primary = await replicas.primary()
    secondaries = replicas.others(primary)
    lost = [primary, secondaries[0]] if primary_too else secondaries
    async with installed(settings_of(replicas)) as store:
        async with busy(store, tmp_path) as shut, serving(settings_of(replicas, timeout=TIMEOUT)) as api:
            await lose(lost)
            with anyio.move_on_after(AWAY):
                await refused(api)
                await unready(api)
                await anyio.sleep_forever()
            await bring_back(lost)
            await replicas.primary()
            await renewed(store, times=4)
            accepted = await post(api)
            shut.open()
            await drained(store)
        assert accepted.status_code == 202
        assert sorted(shut.ran()) == sorted((JOBS + 1) * list(range(1, PAGES + 1)))
        tasks = [task async for task in store.db["tasks"].find()]
        ends = {(task["state"], task["attempt"], len(task["errors"])) for task in tasks}
        assert (len(tasks), ends) == (2 * (JOBS + 1), {("succeeded", 1, 0)})
        assert await violations(store) == {}
