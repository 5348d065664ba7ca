"""PgQueuer: jobs in PostgreSQL, woken by LISTEN/NOTIFY; every stage enqueues the next.

As its page on performance advises for short tasks: asyncpg with a pool, larger batches; and uvloop, as its
own command runs it.
"""

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.results import SAVE, Results, create_results
from benchmarks.peers.worker import started

_SAVE = SAVE.format("$1", "$2")
_POOL = 20


class PgQueuerPeer(Peer):
    """A worker takes so many jobs in a batch, and buffers their ends in memory."""

    durability = "fsync, synchronous_commit: on; the next stage's job in one commit, ends in batches later"
    settings = ("10", "200", "500")

    async def prepare(self, addresses: Addresses) -> None:
        """Install its schema."""
        async with _pool(addresses, 2) as pool:
            await Queries(AsyncpgPoolDriver(pool)).install()
        await create_results(addresses[0])

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect, and forget earlier chains."""
        async with (
            _pool(addresses, 2) as pool,
            await psycopg.AsyncConnection.connect(addresses[0], autocommit=True) as connection,
        ):
            results = Results(connection)
            await results.clear()
            yield _Submitter(Queries(AsyncpgPoolDriver(pool)), results)

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker with batches of this size."""
        uvloop.run(_work(int(setting), addresses))


class _Submitter(Submitter):
    def __init__(self, queries: Queries, results: Results) -> None:
        self._queries, self._results = queries, results

    async def submit(self, count: int) -> None:
        jobs: list[bytes | None] = [_payload(uuid.uuid4().hex, chain.DOCUMENT) for _ in range(count)]
        await self._queries.enqueue(["first"] * count, jobs, [0] * count)

    async def ended(self) -> int:
        return await self._results.count()

    async def round_trip(self) -> int:
        name = uuid.uuid4().hex
        await self._queries.enqueue("first", _payload(name, chain.DOCUMENT))
        return await self._results.wait(name)


async def _work(batch: int, addresses: Addresses) -> None:
    async with _pool(addresses, _POOL) as pool:
        queuer = PgQueuer(AsyncpgPoolDriver(pool))
        queries = Queries(queuer.connection)

        async def first(job: Job) -> None:
            name, document = _content(job)
            await queries.enqueue("second", _payload(name, chain.first(str(document))))

        async def second(job: Job) -> None:
            name, number = _content(job)
            await queries.enqueue("third", _payload(name, chain.second(int(number))))

        async def third(job: Job) -> None:
            name, number = _content(job)
            await pool.execute(_SAVE, name, chain.third(int(number)))

        for stage in (first, second, third):
            queuer.entrypoint(stage.__name__)(stage)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
        started()
        await queuer.run(batch_size=batch)


def _payload(name: str, value: str | int) -> bytes:
    return json.dumps([name, value]).encode()


def _content(job: Job) -> tuple[str, str | int]:
    name, value = json.loads(job.payload or b"")
    return name, value


@asynccontextmanager
async def _pool(addresses: Addresses, size: int) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(addresses[0], min_size=2, max_size=size) as pool:
        yield pool
