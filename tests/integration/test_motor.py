"""An application that still has Motor submits and watches with its own client."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.submission import job_changes, job_document
from tests.support import COUNTING, FINAL, running, until

MAJORITY = {"write_concern": WriteConcern("majority"), "read_concern": ReadConcern("majority")}


@pytest.fixture
async def database(store: Store, store_settings: StoreSettings) -> AsyncIterator[Any]:
    """The same database through Motor."""
    assert store_settings.mongodb_uri is not None
    client: Any = AsyncIOMotorClient(store_settings.mongodb_uri.get_secret_value())
    yield client[store_settings.database]
    client.close()


async def test_a_job_inserted_with_motor_is_worked_on(database: Any, store: Store) -> None:
    job = job_document("counting", name="a.txt", content=b"one two three four")
    async with running(store, COUNTING):
        await database.jobs.insert_one(job)
        view = await until(store, job["_id"])
    assert view.state == "succeeded"
    output = await database.outputs.find_one({"_id": f"{job['_id']}:count:1"})
    assert output["body"] == {"words": 4}


async def test_a_malformed_job_is_refused(database: Any) -> None:
    job = job_document("counting", name="a.txt", content=b"x")
    with pytest.raises(WriteError, match="failed validation"):
        await database.jobs.insert_one({**job, "state": "paused"})


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "aborted"])
async def test_a_job_lives_or_dies_with_the_callers_transaction(
    database: Any, store: Store, committed: bool
) -> None:
    await database.create_collection("orders")
    job = job_document("counting", name="order.txt", content=b"two words")
    marker = job_document("counting", name="marker.txt", content=b"later")
    async with running(store, COUNTING):
        async with await database.client.start_session() as session:
            session.start_transaction(**MAJORITY)
            await database.orders.insert_one({"_id": 1, "job": job["_id"]}, session=session)
            await database.jobs.insert_one(job, session=session)
            await (session.commit_transaction() if committed else session.abort_transaction())
        # The stream is in order: once the later job has ended, nothing of an earlier one is on its way.
        await database.jobs.insert_one(marker)
        assert (await until(store, marker["_id"])).state == "succeeded"
        if committed:
            assert (await until(store, job["_id"])).state == "succeeded"
    there = int(committed)
    assert await database.orders.count_documents({}) == there
    assert await database.jobs.count_documents({"_id": job["_id"]}) == there
    assert await database.tasks.count_documents({"job": job["_id"]}) == 2 * there


async def test_a_job_is_watched_with_motor_until_it_has_ended(database: Any, store: Store) -> None:
    job = job_document("counting", name="a.txt", content=b"one two")
    other = job_document("counting", name="b.txt", content=b"another's")
    seen: list[tuple[str, str]] = []
    with anyio.fail_after(60):
        async with running(store, COUNTING), database.watch(job_changes(job["_id"])) as stream:
            await database.jobs.insert_many([other, job])
            async for change in stream:
                fields = change.get("fullDocument") or change["updateDescription"]["updatedFields"]
                seen.append((change["documentKey"]["_id"].removeprefix(job["_id"]), fields.get("state")))
                if seen[-1][0] == "" and seen[-1][1] in FINAL:
                    break
    # A task that is created as claimed, as most are, is never ready.
    told = [(name, state) for name, state in seen if state and state != "ready"]
    states = {name: [state for each, state in told if each == name] for name, _ in told}
    assert states == {
        "": ["submitted", "running", "succeeded"],
        ":read:1": ["running", "succeeded"],
        ":count:1": ["running", "succeeded"],
    }
