"""The write happened, and the caller saw an error: dropped answers, write concern errors, late answers."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pymongo
import pytest
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from pipeline.embedded import Embedded, embedded_mongod
from pipeline.errors import LeaseLost
from pipeline.patience import until_available
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from tests.dropping_proxy import Drops, dropping_proxy, seeded
from tests.faults.conftest import LONG, installed, only_long
from tests.faults.counted import Counted
from tests.faults.operations import OPERATIONS, command
from tests.records import claimed, committing, completion
from tests.support import running, until

DATABASE = "unknown"
TIMEOUT = 0.7
"""Seconds that one operation may take, so that the driver's own retries don't hide what lasts longer."""
SETTINGS = WorkerSettings(lease=timedelta(seconds=4), reconciliation=timedelta(seconds=2))
SEEDS = range(50) if LONG else range(1)


@pytest.fixture(scope="module")
def obedient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A mongod that can be told to fail commands."""
    folder = tmp_path_factory.mktemp("obedient")
    running = embedded_mongod(folder, parameters={"enableTestCommands": "1"})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as mongod:
        yield mongod


@pytest.fixture
async def direct(obedient: Embedded) -> AsyncIterator[Store]:
    """The test's own way to the database, without faults."""
    settings = StoreSettings(mongodb_uri=SecretStr(obedient.uri), database=DATABASE)
    async with installed(settings) as store:
        yield store


def impatient(uri: str) -> StoreSettings:
    return StoreSettings(mongodb_uri=SecretStr(uri), database=DATABASE, timeout=timedelta(seconds=TIMEOUT))


WHILE_RUNNING = {"sign of life", "renewal"}
NOT_RETRIED_BY_THE_DRIVER = {"claim", "hand-off"}


async def reached(drops: Drops) -> None:
    with anyio.fail_after(30):
        await drops.first.wait()


async def carried_out(direct: Store, store: Store, operation: str, drops: Drops) -> None:
    """Submit, work and stop while the answers to one kind of operation are dropped, and again after that."""
    counted = Counted()
    async with AsyncExitStack() as workers:
        # One worker goes on with its own jobs; only the second of two, one for each stage, has to claim.
        for stages in (["read"], ["count"]) if operation.startswith("claim") else (None,):
            await workers.enter_async_context(running(store, counted.pipeline, SETTINGS, stages=stages))
        jobs = [await counted.accepted(store, "0")]
        if operation in WHILE_RUNNING:
            await reached(drops)
        counted.let_on.set()
        ends = [await until(direct, jobs[0])]
        if operation != "deregistration":
            await reached(drops)
        jobs.append(await counted.accepted(store, "1"))
        ends.append(await until(direct, jobs[1]))
    assert drops.count
    assert [(end.state, [each.attempt for each in end.stages]) for end in ends] == [("succeeded", [1, 1])] * 2
    assert counted.ran == {"read": 2, "part": 6, "count": 2}
    await counted.settled(direct, jobs)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_answers_are_dropped_for_longer_than_an_operation_may_take(
    direct: Store, obedient: Embedded, operation: str
) -> None:
    async with dropping_proxy(obedient.port) as proxy, Store(impatient(proxy.uri)) as store:
        proxy.drops = Drops(OPERATIONS[operation], seconds=1.2 * TIMEOUT)
        await carried_out(direct, store, operation, proxy.drops)


@pytest.mark.parametrize(
    "operation",
    [pytest.param(each, marks=[] if each in NOT_RETRIED_BY_THE_DRIVER else only_long) for each in OPERATIONS],
)
async def test_one_answer_is_dropped(direct: Store, obedient: Embedded, operation: str) -> None:
    async with dropping_proxy(obedient.port) as proxy, Store(impatient(proxy.uri)) as store:
        proxy.drops = Drops(OPERATIONS[operation], times=1)
        await carried_out(direct, store, operation, proxy.drops)


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_answer_may_be_dropped(direct: Store, obedient: Embedded, seed: int) -> None:
    """One in ten, for some seconds, with two workers; everything has one effect."""
    counted = Counted()
    counted.let_on.set()
    async with dropping_proxy(obedient.port) as proxy, Store(impatient(proxy.uri)) as store:
        proxy.drops = Drops(seeded(seed, 0.1), seconds=4)
        async with running(store, counted.pipeline, SETTINGS), running(store, counted.pipeline, SETTINGS):
            jobs = [await counted.accepted(store, str(number)) for number in range(15)]
            for job in jobs:
                assert (await until(direct, job)).state == "succeeded"
    assert proxy.drops.count
    await counted.settled(direct, jobs)


async def test_an_abort_whose_answer_is_dropped_leaves_nothing_locked(
    direct: Store, obedient: Embedded
) -> None:
    async with dropping_proxy(obedient.port) as proxy, Store(impatient(proxy.uri)) as store:
        proxy.drops = Drops(command("abortTransaction"), seconds=1.2 * TIMEOUT)
        lost, kept = await claimed(direct, 2)
        taken = {"$set": {"lease.claim_id": "another", "lease.fence": lost.lease.fence + 1}}
        await direct.db["tasks"].update_one({"_id": lost.id}, taken)
        async with committing(store) as commits:
            changes = [await completion(direct, task) for task in (lost, kept)]
            results = await until_available(lambda: commits.commit(changes), "a commit")
        assert proxy.drops.count
        assert [type(result) for result in results] == [LeaseLost, type(None)]
        with pymongo.timeout(5):
            await direct.db["tasks"].delete_many({"job": {"$in": [lost.job, kept.job]}})
            await direct.db["jobs"].delete_many({"_id": {"$in": [lost.job, kept.job]}})
            await direct.db["outputs"].delete_many({"job": {"$in": [lost.job, kept.job]}})


JOBS, FAILED = 3, 4
FAILURES: dict[str, Any] = {
    # Done, and not known to be on a majority: the driver tries a 91 again, a 64 it does not.
    "not confirmed": {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
    "shutting down": {"writeConcernError": {"code": 91, "errmsg": "the server shuts down"}},
    # Not done, as far as the server is concerned.
    "closed": {"closeConnection": True},
    "late": {"blockConnection": True, "blockTimeMS": int(1.5 * TIMEOUT * 1000)},
    "interrupted": {"errorCode": 11601},
}


@asynccontextmanager
async def failing(direct: Store, data: Mapping[str, Any]) -> AsyncIterator[None]:
    """Fail the next writes and commits of the client that is named `unlucky`; some of them must come."""
    commands = ["insert", "update", "delete", "commitTransaction"]
    how = {"failCommands": commands, "appName": "unlucky", **data}
    admin = direct.db.client.admin
    await admin.command({"configureFailPoint": "failCommand", "mode": {"times": FAILED}, "data": how})
    try:
        yield
    finally:
        told = await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert told["count"] >= FAILED


@pytest.mark.parametrize("failure", FAILURES)
async def test_the_server_fails_what_it_is_asked(direct: Store, obedient: Embedded, failure: str) -> None:
    """The first writes and commits after the worker's start."""
    counted = Counted()
    counted.let_on.set()
    # A server that really shuts down tells its clients; this one they have to ask.
    uri = f"{obedient.uri}&appName=unlucky&heartbeatFrequencyMS=500"
    async with Store(impatient(uri)) as store:
        async with running(store, counted.pipeline, SETTINGS), failing(direct, FAILURES[failure]):
            jobs = [await counted.accepted(store, str(number)) for number in range(JOBS)]
            for job in jobs:
                assert (await until(direct, job)).state == "succeeded"
    assert counted.ran == {"read": JOBS, "part": 3 * JOBS, "count": JOBS}
    await counted.settled(direct, jobs)
