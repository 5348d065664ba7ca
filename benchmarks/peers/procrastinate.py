"""Procrastinate: jobs in PostgreSQL, woken by LISTEN/NOTIFY; every stage defers the next.

A worker that was not woken looks every 5 s, its default: slow round trips last about so long, or twice.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONDict

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.results import SAVE, Results, create_results
from benchmarks.peers.worker import started

_SAVE = SAVE.format("%(name)s", "%(number)s")


class Procrastinate(Peer):
    """A worker runs so many jobs at once, with as many connections."""

    durability = "fsync, synchronous_commit: on; the next stage's job and this one's end in two commits"
    settings = ("1", "10", "30")
    chains = 500

    async def prepare(self, addresses: Addresses) -> None:
        """Install its schema."""
        app = _app(addresses, 2)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
        await create_results(addresses[0])

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect, and forget earlier chains."""
        app = _app(addresses, 2)
        async with (
            app.open_async(),
            await psycopg.AsyncConnection.connect(addresses[0], autocommit=True) as connection,
        ):
            results = Results(connection)
            await results.clear()
            yield _Submitter(app, results)

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker; it ends itself on SIGTERM."""
        concurrency = int(setting)
        app = _app(addresses, concurrency + 2)  # one listens, one looks for aborted jobs
        started()
        app.run_worker(concurrency=concurrency)


class _Submitter(Submitter):
    def __init__(self, app: App, results: Results) -> None:
        self._first = app.tasks["first"]
        self._results = results

    async def submit(self, count: int) -> None:
        jobs: list[JSONDict] = [{"name": uuid.uuid4().hex, "document": chain.DOCUMENT} for _ in range(count)]
        await self._first.batch_defer_async(*jobs)

    async def ended(self) -> int:
        return await self._results.count()

    async def round_trip(self) -> int:
        name = uuid.uuid4().hex
        await self._first.defer_async(name=name, document=chain.DOCUMENT)
        return await self._results.wait(name)


def _app(addresses: Addresses, connections: int) -> App:
    connector = PsycopgConnector(conninfo=addresses[0], min_size=2, max_size=connections)
    app = App(connector=connector)

    async def first(name: str, document: str) -> None:
        await app.tasks["second"].defer_async(name=name, number=chain.first(document))

    async def second(name: str, number: int) -> None:
        await app.tasks["third"].defer_async(name=name, number=chain.second(number))

    async def third(name: str, number: int) -> None:
        await connector.execute_query_async(_SAVE, name=name, number=chain.third(number))

    for stage in (first, second, third):
        app.task(name=stage.__name__)(stage)
    return app
