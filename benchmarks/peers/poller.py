"""The usual way to queue in MongoDB: every worker polls with find-one-and-update."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started

_IDLE = 0.02
"""Seconds that a worker sleeps when it found nothing."""
_ASK = 0.002
_STAGES = (chain.first, chain.second, chain.third)

Jobs = AsyncCollection[dict[str, Any]]


class Poller(Peer):
    """One document per chain, which moves on through its stages; a lease, but nobody who rescues."""

    durability = "w: majority with journal, every claim and every stage"
    settings: ClassVar[Sequence[str]] = ("1", "4", "16", "64")
    chains = 1000

    async def prepare(self, addresses: Addresses) -> None:
        """Create the index that claims use."""
        async with _jobs(addresses) as jobs:
            await jobs.create_index([("state", 1), ("_id", 1)])

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect, and forget earlier chains."""
        async with _jobs(addresses) as jobs:
            await jobs.delete_many({})
            yield _Submitter(jobs)

    def work(self, setting: str, addresses: Addresses) -> None:
        """Poll with so many coroutines at once."""
        asyncio.run(_work(int(setting), addresses))


class _Submitter(Submitter):
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def submit(self, count: int) -> None:
        await self._jobs.insert_many([_job() for _ in range(count)])

    async def ended(self) -> int:
        return await self._jobs.count_documents({"state": "ended"})

    async def round_trip(self) -> int:
        job = _job()
        await self._jobs.insert_one(job)
        while True:
            found = await self._jobs.find_one({"_id": job["_id"], "state": "ended"})
            if found is not None:
                return int(found["value"])
            await asyncio.sleep(_ASK)


async def _work(slots: int, addresses: Addresses) -> None:
    async with _jobs(addresses) as jobs, asyncio.TaskGroup() as group:
        started()
        for _ in range(slots):
            group.create_task(_poll(jobs))


async def _poll(jobs: Jobs) -> None:
    while True:
        lease = {"state": "running", "until": datetime.now(UTC) + timedelta(seconds=45)}
        job = await jobs.find_one_and_update(
            {"state": "ready"}, {"$set": lease}, sort=[("_id", 1)], return_document=ReturnDocument.AFTER
        )
        if job is None:
            await asyncio.sleep(_IDLE)
            continue
        value = _STAGES[job["stage"]](job["value"])
        stage = job["stage"] + 1
        state = "ready" if stage < len(_STAGES) else "ended"
        await jobs.update_one(
            {"_id": job["_id"], "state": "running"},
            {"$set": {"state": state, "stage": stage, "value": value}, "$unset": {"until": ""}},
        )


def _job() -> dict[str, Any]:
    return {"_id": ObjectId(), "state": "ready", "stage": 0, "value": chain.DOCUMENT}


@asynccontextmanager
async def _jobs(addresses: Addresses) -> AsyncIterator[Jobs]:
    async with AsyncMongoClient[dict[str, Any]](addresses[0], w="majority", journal=True) as client:
        yield client["poller"]["jobs"]
