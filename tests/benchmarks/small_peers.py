"""Peers for tests of the harness: the poller, in as few seconds as can be, and with faults of its own."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from benchmarks.peers.peer import Addresses, Submitter
from benchmarks.peers.poller import Poller


class Small(Poller):
    settings: ClassVar[Sequence[str]] = ("1", "16")
    chains = 60


class Dying(Small):
    settings = ("1",)

    def work(self, setting: str, addresses: Addresses) -> None:
        sys.exit("no work today")


class Wrong(Small):
    settings = ("16",)

    @asynccontextmanager
    async def submitter(self, addresses: Addresses) -> AsyncIterator[Submitter]:
        async with super().submitter(addresses) as submitter:
            yield _Wrong(submitter)


class Counting(Submitter):
    """Has ended so many chains each time that it is asked."""

    def __init__(self, *ended: int) -> None:
        self.answers = list(ended)

    async def submit(self, count: int) -> None:
        raise NotImplementedError

    async def ended(self) -> int:
        return self.answers.pop(0)

    async def round_trip(self) -> int:
        raise NotImplementedError


class _Wrong(Submitter):
    def __init__(self, real: Submitter) -> None:
        self._real = real

    async def submit(self, count: int) -> None:
        await self._real.submit(count)

    async def ended(self) -> int:
        return await self._real.ended()

    async def round_trip(self) -> int:
        return await self._real.round_trip() + 1
