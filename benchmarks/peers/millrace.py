"""Millrace itself: its `Worker` over the stages that do nothing, of all benchmarks."""

import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from pydantic import SecretStr

from benchmarks.ground import ENDS, NOOP, jobs, third, verify
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started
from pipeline.cycles import search_seldom
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker

_FIRST_REVISION = 1
_SUCCEEDED = {"tenant": "default", "state": "succeeded"}


class Millrace(Peer):
    """Jobs submitted by insert, counted by index, and watched with a change stream one by one."""

    durability = "majority + journal; a stage's end, output and successor in one transaction"
    settings = ("64", "256", "768")

    async def prepare(self, addresses: Addresses) -> None:
        """Install collections and indexes."""
        async with _store(addresses) as store:
            await store.install()

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect."""
        async with _store(addresses) as store, anyio.create_task_group() as group:
            yield _Submitter(store, group)
            group.cancel_scope.cancel()

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker with so many slots, in a process set up as `millrace worker` does."""
        search_seldom()
        anyio.run(_work, int(setting), addresses)

    async def check(self, addresses: Addresses) -> None:
        """Audit every promise."""
        async with _store(addresses) as store:
            await verify(store)


class _Submitter(Submitter):
    def __init__(self, store: Store, group: TaskGroup) -> None:
        self._store = store
        self._group = group
        self._ended: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self._first = ""
        self._watches = False

    async def _watch(self, *, task_status: TaskStatus[None]) -> None:
        """Hear of every job's end."""
        async with await self._store.db["jobs"].watch(ENDS) as stream:
            task_status.started()
            async for event in stream:
                self._ended[event["documentKey"]["_id"]].set()

    async def submit(self, count: int) -> None:
        submitted = jobs(count)
        self._first = min(job["_id"] for job in submitted)
        await self._store.db["jobs"].insert_many(submitted)

    async def ended(self) -> int:
        return await self._store.db["jobs"].count_documents({**_SUCCEEDED, "_id": {"$gte": self._first}})

    async def round_trip(self) -> int:
        if not self._watches:
            self._watches = True
            await self._group.start(self._watch)
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
