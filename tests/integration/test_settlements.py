"""What is reserved of a rate is settled once: by what was used, or not at all if its worker died."""

from datetime import timedelta

import pytest

from pipeline.client import Client
from pipeline.crashpoints import VARIABLE
from pipeline.limit import Rate
from pipeline.operator import Operator
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.integration.metered import METERED
from tests.integration.test_rates import ACCOUNT, HOUR, left, used
from tests.records import violations
from tests.support import submit, until, worker_process

WORKERS = "tests.integration.metered:METERED"
SLOW = Rate(1000, timedelta(days=31).total_seconds())
"""Of which nothing that a test would notice flows back."""


@pytest.mark.parametrize("clock", [0, 30, -30])
@pytest.mark.parametrize(
    ("before", "given_back", "after"),
    [(100, 30, 130), (100, -30, 70), (10, -30, -20), (-50, 20, -30), (990, 30, 1000)],
)
async def test_a_settlement_is_the_difference(
    store: Store, clock: int, before: int, given_back: int, after: int
) -> None:
    """Also when the bucket was written so many seconds ago, or by a clock that was ahead by these."""
    at = {"$subtract": ["$$NOW", clock * 1000]}
    permits = store.db["permits"]
    await permits.update_one(
        {"_id": ACCOUNT}, [{"$set": {"buckets.tokens": {"left": before, "at": at}}}], upsert=True
    )
    await store.rates.settle({(ACCOUNT, "tokens"): given_back}, {(ACCOUNT, "tokens"): SLOW})
    stored = await permits.find_one({"_id": ACCOUNT}, {"buckets": 1, "now": "$$NOW"})
    assert stored is not None
    bucket = stored["buckets"]["tokens"]
    assert bucket["left"] == pytest.approx(after, abs=0.1)
    assert bucket["at"] <= stored["now"]


@pytest.mark.parametrize("point", ["attempt.begun", "attempt.returned"])
async def test_what_a_killed_worker_had_reserved_stays_charged_and_nothing_is_given_back_twice(
    store: Store, store_settings: StoreSettings, point: str
) -> None:
    client = Client(store)
    await store.pipelines.register([METERED])
    await Operator(store).limit(ACCOUNT, rate=100, per=HOUR, unit="tokens")
    job = (await submit(client, "metered", **used(15))).id
    dying = {VARIABLE: point}
    async with worker_process(store_settings, WORKERS, "--name", "first", **dying) as process:
        await process.wait()
    assert await left(store, ACCOUNT) == 60
    await release_worker(store, "first")
    assert await left(store, ACCOUNT) == 60
    async with worker_process(store_settings, WORKERS, "--name", "second") as process:
        assert (await until(store, job)).state == "succeeded"
        process.terminate()  # at its end it has settled what it owes
        await process.wait()
    assert await left(store, ACCOUNT) == 100 - 40 - 15
    assert await violations(store) == {}
