"""Commands are counted by mongod itself, without the looks at the counters."""

from benchmarks.counters import counters
from pipeline.store import Store
from pipeline.store.workers import DEAD_FOR


async def test_what_happened_between_two_looks(store: Store) -> None:
    before = await counters(store)
    await store.workers.forget(DEAD_FOR)
    await store.listeners.list()
    await store.db.client["elsewhere"]["things"].find_one({})
    commands = (await counters(store)).since(before).commands
    driver = {"hello", "isMaster"}  # its monitoring, whenever it likes
    assert {name: count for name, count in commands.items() if name not in driver} == {"delete": 1, "find": 1}


async def test_aborted_transactions(store: Store) -> None:
    before = await counters(store)
    await store.db["listeners"].insert_one({"_id": "a"})
    async with store.db.client.start_session() as one:
        async with await one.start_transaction():
            await store.db["listeners"].update_one({"_id": "a"}, {"$set": {"n": 1}}, session=one)
            await one.abort_transaction()
    assert (await counters(store)).since(before).aborted == 1
