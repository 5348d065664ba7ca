"""Positions, gaps and resumes, against real change streams."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from pipeline.client import Client
from pipeline.embedded import embedded_mongod
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import WORK
from tests.oplog import roll_over, short_history
from tests.records import violations
from tests.support import COUNTING, reconciled, running, submit, until

ROLE = "worker/counting"


async def listener(store: Store) -> dict[str, Any]:
    return await store.db["listeners"].find_one({"_id": ROLE}) or {}


async def noted(store: Store, field: str) -> dict[str, Any]:
    """Wait until the role's record has a field."""
    with anyio.fail_after(30):
        async with await store.db["listeners"].watch() as changes:
            while not (await listener(store)).get(field):
                await changes.try_next()
    return await listener(store)


async def closed_gap(store: Store, lost: str) -> None:
    """Wait until a gap behind this position or a later one is closed, which takes two writes."""
    with anyio.fail_after(30):
        async with await store.db["gaps"].watch() as changes:
            while not await store.db["gaps"].count_documents({"from": {"$gte": lost}}):
                await changes.try_next()
        await reconciled(store)


async def finish_one(store: Store) -> None:
    async with running(store, COUNTING):
        job = await submit(Client(store), "counting")
        assert (await until(store, job.id)).state == "succeeded"


@pytest.fixture
async def failing(tmp_path: Path) -> AsyncIterator[Store]:
    """A store whose server can be told to fail commands."""
    async with embedded_mongod(tmp_path, parameters={"enableTestCommands": "1"}) as mongod:
        async with Store(StoreSettings(mongodb_uri=SecretStr(mongod.uri), database="failing")) as store:
            await store.install()
            yield store


async def test_a_stopped_worker_leaves_its_position_and_the_next_one_resumes_there(store: Store) -> None:
    await finish_one(store)
    left = await listener(store)
    job = await submit(Client(store), "counting")  # nobody listens
    async with running(store, COUNTING):
        assert (await until(store, job.id)).state == "succeeded"
        found = await noted(store, "resumed")
    assert found["resumed"]["events"] >= 1
    assert found["resumed"]["token_age"] >= 0
    assert found["token"] >= left["token"]
    assert [gap["why"] async for gap in store.db["gaps"].find()] == ["first start"]


async def test_a_position_never_goes_back(store: Store) -> None:
    await finish_one(store)
    here = (await listener(store))["token"]
    await finish_one(store)
    further = (await listener(store))["token"]
    assert further > here
    assert not await store.listeners.save(ROLE, here, WORK)
    assert (await listener(store))["token"] == further


async def test_a_worker_that_is_stopped_while_it_closes_a_gap_leaves_none_behind(store: Store) -> None:
    async with running(store, COUNTING):
        await noted(store, "token")
    assert (await listener(store))["gap"] is None
    assert (await violations(store)) == {}


@pytest.mark.parametrize("code", [136, 286, 280, 260, 10334])
@pytest.mark.parametrize("command", ["aggregate", "getMore"])
async def test_a_stream_that_cannot_go_on_is_replaced_and_its_gap_reconciled(
    failing: Store, command: str, code: int
) -> None:
    """Refused when it is opened, and in mid-stream."""
    await finish_one(failing)
    before = (await listener(failing))["token"]
    job = await submit(Client(failing), "counting")
    await failing.db.client.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {
                "failCommands": [command],
                "errorCode": code,
                "appName": "worker",
                "namespace": "failing.$cmd.aggregate",  # of a database's change stream
            },
        }
    )
    uri = failing.settings.mongodb_uri
    assert uri is not None
    settings = StoreSettings(
        mongodb_uri=SecretStr(uri.get_secret_value() + "&appName=worker"), database="failing"
    )
    async with Store(settings) as own, running(own, COUNTING):
        assert (await until(failing, job.id)).state == "succeeded"
        await closed_gap(failing, before)
    gaps = [gap async for gap in failing.db["gaps"].find({"from": {"$gte": before}})]
    assert len(gaps) == 1
    assert str(code) in gaps[0]["why"]
    assert gaps[0]["found"] in (0, 1)  # the worker's first look may have been faster
    assert (await listener(failing))["gap"] is None


async def test_a_corrupted_token_is_a_gap_and_not_a_loop(store: Store) -> None:
    await finish_one(store)
    token = (await listener(store))["token"]
    await store.db["listeners"].update_one({"_id": ROLE}, {"$set": {"token": token[:20] + "00"}})
    job = await submit(Client(store), "counting")
    async with running(store, COUNTING):
        assert (await until(store, job.id)).state == "succeeded"
        await closed_gap(store, token[:20] + "00")
    assert await store.db["gaps"].count_documents({"from": token[:20] + "00"}) == 1


async def test_a_release_that_changes_the_stream_goes_on_from_the_cluster_time(store: Store) -> None:
    await finish_one(store)
    await store.db["listeners"].update_one({"_id": ROLE}, {"$set": {"fingerprint": "of an earlier release"}})
    job = await submit(Client(store), "counting")
    async with running(store, COUNTING):
        assert (await until(store, job.id)).state == "succeeded"
        await noted(store, "resumed")
    assert (await listener(store))["fingerprint"] != "of an earlier release"
    assert await store.db["gaps"].count_documents({}) == 1


async def test_an_open_gap_is_reconciled_before_anything_else(store: Store) -> None:
    await finish_one(store)
    job = await submit(Client(store), "counting")
    async with store.changes.open(WORK) as stream:  # a position after the job: no event will tell of it
        await store.listeners.open_gap(ROLE, stream.token, WORK, lost="82", why="planted")
    async with running(store, COUNTING):
        assert (await until(store, job.id)).state == "succeeded"
        await closed_gap(store, "82")
    closed = await store.db["gaps"].find_one({"why": "planted"}) or {}
    assert closed["found"] in (0, 1)  # the worker's first look may have been faster


async def test_a_gap_neither_takes_a_position_back_nor_forgets_an_earlier_one(store: Store) -> None:
    listeners = store.listeners
    await listeners.open_gap(ROLE, "82AA", WORK, lost="8211", why="the first")
    await listeners.save(ROLE, "82CC", WORK)
    await listeners.open_gap(ROLE, "82BB", WORK, lost="82AA", why="a slower worker's")
    found = await listener(store)
    assert found["token"] == "82CC"
    assert (found["gap"]["from"], found["gap"]["to"]) == ("8211", "82BB")
    await listeners.open_gap(ROLE, "82BB", WORK, lost="82CC", why="that position can't be read")
    assert (await listener(store))["token"] == "82BB"


async def test_history_that_rolled_over_is_a_gap(tmp_path: Path) -> None:
    """The real thing: the oplog's oldest entry is younger than the saved token."""
    async with short_history(tmp_path, "rolling") as store:
        await finish_one(store)
        lost = (await listener(store))["token"]
        job = await submit(Client(store), "counting")
        await roll_over(store, lost)
        async with running(store, COUNTING):
            assert (await until(store, job.id)).state == "succeeded"
            await closed_gap(store, lost)
        assert "286" in (await store.db["gaps"].find_one({"from": lost}) or {})["why"]
        assert await violations(store) == {}
