"""SAQ: jobs in Redis, taken with a blocking move; every stage enqueues the next."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from saq import Queue, Status, Worker

from benchmarks.peers import chain
from benchmarks.peers.peer import Addresses, Peer, Submitter
from benchmarks.peers.worker import started

_SOME = 50
"""How many jobs are looked at in one question."""
_LOOK_AGAIN = 2.0
"""Seconds after which a submitter who was told nothing looks for itself."""


class Saq(Peer):
    """A worker that runs so many jobs at once."""

    durability = "appendfsync always; what a killed worker held is swept up after its timeout"
    settings = ("10", "30", "100")

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        """Connect."""
        queue = Queue.from_url(addresses[0])
        await queue.connect()
        yield _Submitter(queue)
        await queue.disconnect()

    def work(self, setting: str, addresses: Addresses) -> None:
        """Run a worker; it ends itself on SIGTERM."""
        asyncio.run(_work(int(setting), addresses))


class _Submitter(Submitter):
    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._open: list[str] = []
        self._ended = 0

    async def submit(self, count: int) -> None:
        self._open = [uuid.uuid4().hex for _ in range(count)]
        for name in self._open:
            await self._queue.enqueue("first", key=f"first-{name}", name=name, document=chain.DOCUMENT)

    async def ended(self) -> int:
        while self._open:  # they end about in the order in which they were submitted
            some = self._open[:_SOME]
            jobs = await self._queue.jobs([f"third-{name}" for name in some])
            still = [name for name, job in zip(some, jobs, strict=True) if not _is_complete(job)]
            self._ended += len(some) - len(still)
            self._open[:_SOME] = still
            if still:
                break
        return self._ended

    async def round_trip(self) -> int:
        name = uuid.uuid4().hex
        last = f"third-{name}"
        told = asyncio.create_task(
            self._queue.listen([last], lambda _, status: status is Status.COMPLETE, timeout=None)
        )
        await asyncio.sleep(0)  # it listens before there is anything to hear
        await self._queue.enqueue("first", key=f"first-{name}", name=name, document=chain.DOCUMENT)
        try:
            while True:
                await asyncio.wait([told], timeout=_LOOK_AGAIN)
                job = await self._queue.job(last)
                if job is not None and _is_complete(job):
                    return int(job.result)
        finally:
            told.cancel()
            with suppress(asyncio.CancelledError):
                await told


async def _work(slots: int, addresses: Addresses) -> None:
    queue = Queue.from_url(addresses[0])
    await queue.connect()

    async def first(_: Any, *, name: str, document: str) -> int:
        number = chain.first(document)
        await queue.enqueue("second", key=f"second-{name}", name=name, number=number)
        return number

    async def second(_: Any, *, name: str, number: int) -> int:
        number = chain.second(number)
        await queue.enqueue("third", key=f"third-{name}", name=name, number=number)
        return number

    async def third(_: Any, *, name: str, number: int) -> int:
        return chain.third(number)

    async def ready(_: Any) -> None:
        started()

    worker: Worker[Any] = Worker(
        queue, [(each.__name__, each) for each in (first, second, third)], concurrency=slots, startup=ready
    )
    await worker.start()
    await queue.disconnect()


def _is_complete(job: Any) -> bool:
    return job is not None and job.status is Status.COMPLETE
