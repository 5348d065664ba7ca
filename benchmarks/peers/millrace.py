"""Millrace itself: its `Worker` over the stages that do nothing, of all benchmarks."""

import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from pydantic import SecretStr
from pymongo.asynchronous.change_stream import AsyncChangeStream

from benchmarks.ground import NOOP, jobs, third, verify
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker

_FIRST_REVISION = 1
# The engine's updates are pipelines, whose events may be replacements.
_ENDED = {
    "$or": [{"updateDescription.updatedFields.state": "succeeded"}, {"fullDocument.state": "succeeded"}]
}

Ends = AsyncChangeStream[dict[str, Any]]


class Millrace(Peer):
    """Jobs submitted by insert, watched with a change stream."""

    durability = "majority + journal; a stage's end, output and successor in one transaction"
    settings = ("4", "64", "256")

    async def prepare(self, addresses: Addresses) -> None:
        """Install collections and indexes."""
        async with _store(addresses) as store:
            await store.install()

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect, and watch jobs from now on."""
        stages: list[Mapping[str, Any]] = [{"$match": _ENDED}, {"$project": {"documentKey": 1}}]
        async with _store(addresses) as store, await store.db["jobs"].watch(stages) as stream:
            async with anyio.create_task_group() as group:
                submitter = _Submitter(store)
                group.start_soon(submitter.watch, stream)
                yield submitter
                group.cancel_scope.cancel()

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker with so many slots."""
        anyio.run(_work, int(setting), addresses)

    async def check(self, addresses: Addresses) -> None:
        """Audit every promise."""
        async with _store(addresses) as store:
            await verify(store)


class _Submitter(Submitter):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self._count = 0

    async def watch(self, stream: Ends) -> None:
        """Hear of every job's end."""
        async for event in stream:
            self._ended[event["documentKey"]["_id"]].set()
            self._count += 1

    async def submit(self, count: int) -> None:
        await self._store.db["jobs"].insert_many(jobs(count))

    async def ended(self) -> int:
        return self._count

    async def round_trip(self) -> int:
        [job] = jobs(1)
        await self._store.db["jobs"].insert_one(job)
        await self._ended[job["_id"]].wait()
        output: Mapping[str, Any] = await self._store.outputs.body(job["_id"], third.name, _FIRST_REVISION)
        return int(output["x"])


async def _work(slots: int, addresses: Addresses) -> None:
    async with _store(addresses) as store:
        worker = Worker(store, [NOOP], WorkerSettings(slots=slots))
        async with anyio.create_task_group() as group:
            await group.start(worker.run)
            started()
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    worker.stop()
                    break


def _store(addresses: Addresses) -> Store:
    return Store(StoreSettings(mongodb_uri=SecretStr(addresses[0]), database="peers"))
