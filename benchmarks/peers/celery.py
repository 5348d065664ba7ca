"""Celery: its own `chain`, with results in Redis; the broker is another Redis, or RabbitMQ.

As its page on optimizing advises for many short tasks: prefetch much. Late acknowledgement, so that a killed
worker's tasks are delivered again; the first two stages' results travel in the next one's message alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from celery import Celery
from celery import chain as celery_chain
from celery.canvas import Signature
from celery.result import AsyncResult
from celery.signals import worker_ready

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started

_PREFETCH = 64


class CeleryPeer(Peer):
    """One process that runs tasks: the only one, with so many threads, or a child of the one that listens."""

    settings = ("solo 1", "threads 4", "threads 16", "prefork 1")
    chains = 1000

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect."""
        app = _app(addresses)
        yield _Submitter(app)
        await anyio.to_thread.run_sync(app.close)

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker; it ends itself on SIGTERM."""
        pool, slots = setting.split()
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
        worker_ready.connect(_ready)
        _app(addresses).worker_main(["worker", "--pool", pool, "--concurrency", slots, *quiet])


class OnRedis(CeleryPeer):
    """Broker and results in two Redis servers."""

    durability = "appendfsync always; what a killed worker held is delivered again in an hour"


class OnRabbitMq(CeleryPeer):
    """RabbitMQ as broker, results in Redis."""

    durability = "durable queue, persistent messages, publisher confirms; results: appendfsync always"


class _Submitter(Submitter):
    def __init__(self, app: Celery) -> None:
        self._app = app
        self._results: list[AsyncResult] = []

    async def submit(self, count: int) -> None:
        self._results = await anyio.to_thread.run_sync(self._submit, count)

    def _submit(self, count: int) -> list[AsyncResult]:
        return [_chain(self._app).apply_async() for _ in range(count)]

    async def ended(self) -> int:
        backend = self._app.backend
        keys = [backend.get_key_for_task(result.id) for result in self._results]
        return int(await anyio.to_thread.run_sync(backend.client.exists, *keys))

    async def round_trip(self) -> int:
        return int(await anyio.to_thread.run_sync(self._round_trip))

    def _round_trip(self) -> int:
        number: int = _chain(self._app).apply_async().get()
        return number


def _app(addresses: Addresses) -> Celery:
    broker, backend = addresses
    app = Celery("peers", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        worker_prefetch_multiplier=_PREFETCH,
        broker_transport_options={"confirm_publish": True} if broker.startswith("amqp") else {},
        broker_connection_retry_on_startup=True,
    )
    app.task(_first, name="first", ignore_result=True)
    app.task(chain.second, name="second", ignore_result=True)
    app.task(chain.third, name="third")
    return app


def _first(document: str) -> int:
    started()
    return chain.first(document)


def _ready(**_: object) -> None:
    started()


def _chain(app: Celery) -> Signature:
    first, second, third = (app.tasks[name] for name in ("first", "second", "third"))
    return celery_chain(first.s(chain.DOCUMENT), second.s(), third.s())
