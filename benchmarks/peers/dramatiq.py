"""Dramatiq: its own `pipeline` on Redis, with the last stage's result in the same Redis."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event

import anyio
import dramatiq
from dramatiq import pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started


class Dramatiq(Peer):
    """A worker process with so many threads."""

    durability = "appendfsync always; what a killed worker held is delivered again after a minute"
    settings = ("8", "32", "64")

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect."""
        broker = _Broker(addresses)
        yield _Submitter(broker)
        broker.broker.close()

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker."""
        stop = Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        worker = dramatiq.Worker(_Broker(addresses).broker, worker_threads=int(setting))
        started()
        worker.start()
        stop.wait()
        worker.stop()


class _Broker:
    """A broker with the three actors."""

    def __init__(self, addresses: Addresses) -> None:
        self.results = RedisBackend(url=addresses[0])
        self.broker = RedisBroker(url=addresses[0])
        self.broker.add_middleware(Results(backend=self.results))
        self._first = dramatiq.actor(broker=self.broker)(chain.first)
        self._second = dramatiq.actor(broker=self.broker)(chain.second)
        self._third = dramatiq.actor(broker=self.broker, store_results=True)(chain.third)

    def run(self) -> pipeline:
        """Submit one chain."""
        messages = [
            self._first.message(chain.DOCUMENT),
            *(each.message_with_options() for each in (self._second, self._third)),
        ]
        made = pipeline(messages, broker=self.broker)
        made.run()
        return made


class _Submitter(Submitter):
    def __init__(self, broker: _Broker) -> None:
        self._broker = broker
        self._keys: list[str] = []

    async def submit(self, count: int) -> None:
        await anyio.to_thread.run_sync(self._submit, count)

    def _submit(self, count: int) -> None:
        chains = [self._broker.run() for _ in range(count)]
        self._keys = [self._broker.results.build_message_key(each.messages[-1]) for each in chains]

    async def ended(self) -> int:
        return int(await anyio.to_thread.run_sync(self._broker.results.client.exists, *self._keys))

    async def round_trip(self) -> int:
        return await anyio.to_thread.run_sync(self._round_trip)

    def _round_trip(self) -> int:
        return int(self._broker.run().get_result(block=True, timeout=60_000))
