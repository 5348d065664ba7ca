"""An idempotency key stands for its tenant's job until it expires, by the server's clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from pipeline.client import Client
from pipeline.settings import ApiSettings
from pipeline.store import Store
from pipeline.submission import job_document
from tests.integration.api_server import api
from tests.support import submit

DAY = timedelta(days=1)


async def keyed(client: Client, **options: Any) -> str:
    return (await submit(client, "counting", b"one", idempotency_key="order-7", **options)).id


async def holder(store: Store) -> str:
    [job] = await store.db["jobs"].find({"idempotency_key": "order-7", "tenant": "default"}).to_list()
    return str(job["_id"])


async def test_a_key_that_has_expired_submits_a_new_job(store: Store) -> None:
    client = Client(store)
    first = await keyed(client, idempotency_for=timedelta(0))
    second = await keyed(client)
    assert second != first
    assert await keyed(client) == await holder(store) == second
    earlier = await store.db["jobs"].find_one({"_id": first})
    assert earlier is not None
    assert not {"idempotency_key", "idempotency_hash", "idempotency_until"} & set(earlier)


async def test_of_many_that_use_an_expired_key_one_submits(store: Store) -> None:
    client, ids = Client(store), set[str]()
    first = await keyed(client, idempotency_for=timedelta(0))

    async def again() -> None:
        ids.add(await keyed(client))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(again)
    assert ids == {await holder(store)} != {first}
    assert await store.db["jobs"].count_documents({}) == 2


async def test_a_key_is_one_tenants_own(store: Store) -> None:
    mine, others = await keyed(Client(store)), await keyed(Client(store, "other"))
    assert mine != others
    assert (await keyed(Client(store)), await keyed(Client(store, "other"))) == (mine, others)


async def test_a_key_of_an_insert_that_says_nothing_stands_for_a_day(store: Store) -> None:
    job = job_document("counting", name="a.txt", content=b"one", idempotency_key="order-7")
    del job["idempotency_until"]
    job["created_at"] = datetime.now(UTC) - DAY + timedelta(minutes=1)
    await store.db["jobs"].insert_one(job)
    assert await keyed(Client(store)) == job["_id"]
    await store.db["jobs"].update_one({"_id": job["_id"]}, {"$set": {"created_at": datetime.now(UTC) - DAY}})
    assert await keyed(Client(store)) != job["_id"]


async def test_the_api_says_how_long_a_key_stands(store: Store) -> None:
    async with api(store, ApiSettings(idempotency=timedelta(0))) as served:
        ids = {(await served.post(key="order-7")).json()["id"] for _ in range(3)}
    assert len(ids) == 3
