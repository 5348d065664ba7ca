"""Huey: its own pipeline on Redis; results are told by `notify_result`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from huey import RedisHuey
from huey.api import Result

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started

_STAGES = 3


class HueyPeer(Peer):
    """A consumer with so many threads."""

    durability = "appendfsync always; what a killed worker held is lost"
    settings = ("4", "16", "32")

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect, and forget earlier chains."""
        queue = _Queue(addresses)
        await anyio.to_thread.run_sync(queue.huey.flush)
        yield _Submitter(queue)

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a consumer; it ends itself on SIGTERM."""
        huey = _Queue(addresses).huey
        huey.on_startup()(started)
        huey.create_consumer(workers=int(setting), worker_type="thread", periodic=False).run()


class _Queue:
    """A queue with the three tasks. Every task's result is kept."""

    def __init__(self, addresses: Addresses) -> None:
        self.huey = RedisHuey("peers", url=addresses[0], notify_result=True)
        self._first = self.huey.task(name="first")(chain.first)
        self._second = self.huey.task(name="second")(chain.second)
        self._third = self.huey.task(name="third")(chain.third)

    def submit(self) -> Result:
        """Submit one chain; returns the last stage's result."""
        stages = self._first.s(chain.DOCUMENT).then(self._second).then(self._third)
        *_, last = self.huey.enqueue(stages)  # an index would wait for it
        return last


class _Submitter(Submitter):
    def __init__(self, queue: _Queue) -> None:
        self._queue = queue

    async def submit(self, count: int) -> None:
        await anyio.to_thread.run_sync(self._submit, count)

    def _submit(self, count: int) -> None:
        for _ in range(count):
            self._queue.submit()

    async def ended(self) -> int:
        # All three results are kept: the last chain has ended when there are three of each.
        return int(await anyio.to_thread.run_sync(self._queue.huey.result_count)) // _STAGES

    async def round_trip(self) -> int:
        return await anyio.to_thread.run_sync(self._round_trip)

    def _round_trip(self) -> int:
        return int(self._queue.submit().get(blocking=True))
