"""DBOS: a workflow whose steps are recorded in PostgreSQL; its queue is polled."""

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started

Stage = Callable[[Any], int]
Workflow = Callable[[str], Any]

_QUEUE, _WORKFLOW = "chains", "chain"
_POLL = 0.01
"""Seconds between two looks at the queue; the default of 1 s would be most of the latency."""
_ASK = 0.002
_STAGES: Sequence[Stage] = (chain.first, chain.second, chain.third)
_COUNT = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"


class Dbos(Peer):
    """One workflow of three steps for each chain; so many run at once in threads, or as coroutines."""

    durability = "fsync, synchronous_commit: on; every step's result in a commit of its own"
    settings = ("threads 10", "threads 40", "coroutines 10", "coroutines 40")
    chains = 500

    async def prepare(self, addresses: Addresses) -> None:
        """Install its schema: a client doesn't."""
        await anyio.to_thread.run_sync(_install, addresses)

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect, and note how many workflows have ended before."""
        client = DBOSClient(system_database_url=addresses[0])
        try:
            async with await psycopg.AsyncConnection.connect(addresses[0], autocommit=True) as connection:
                submitter = _Submitter(client, connection)
                submitter.before = await submitter.ended()
                yield submitter
        finally:
            client.destroy()

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker."""
        kind, slots = setting.split()
        _define(coroutines=kind == "coroutines")
        _launch(addresses, int(slots))
        started()
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        stop.wait()
        DBOS.destroy(workflow_completion_timeout_sec=5)


class _Submitter(Submitter):
    def __init__(self, client: DBOSClient, connection: psycopg.AsyncConnection) -> None:
        self._client, self._connection = client, connection
        self.before = 0

    async def submit(self, count: int) -> None:
        for _ in range(count):
            await self._client.enqueue_async(_options(), chain.DOCUMENT)

    async def ended(self) -> int:
        cursor = await self._connection.execute(_COUNT)
        [count] = await cursor.fetchone() or [0]
        return int(count) - self.before

    async def round_trip(self) -> int:
        handle: Any = await self._client.enqueue_async(_options(), chain.DOCUMENT)
        return int(await handle.get_result(polling_interval_sec=_ASK))


def _options() -> EnqueueOptions:
    return {"queue_name": _QUEUE, "workflow_name": _WORKFLOW}


def _install(addresses: Addresses) -> None:
    _launch(addresses, 1)
    DBOS.destroy()


def _launch(addresses: Addresses, slots: int) -> None:
    config: DBOSConfig = {
        "name": "peers",
        "system_database_url": addresses[0],
        "application_version": "1",
        "sys_db_pool_size": 20,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(_QUEUE, worker_concurrency=slots, polling_interval_sec=_POLL)


def _define(*, coroutines: bool) -> None:
    """Register the workflow under its one name."""
    DBOS.workflow(name=_WORKFLOW)(_in_coroutines() if coroutines else _in_threads())


def _in_threads() -> Workflow:
    first, second, third = (DBOS.step()(stage) for stage in _STAGES)

    def workflow(document: str) -> int:
        return int(third(second(first(document))))

    return workflow


def _in_coroutines() -> Workflow:
    first, second, third = (DBOS.step()(_as_coroutine(stage)) for stage in _STAGES)

    async def workflow(document: str) -> int:
        return int(await third(await second(await first(document))))

    return workflow


def _as_coroutine(stage: Stage) -> Callable[[Any], Awaitable[int]]:
    async def step(given: Any) -> int:
        return stage(given)

    step.__qualname__ = stage.__qualname__  # by which it is registered
    return step
