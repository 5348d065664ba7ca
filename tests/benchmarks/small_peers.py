"""Peers for tests of the harness: the poller, in as few seconds as can be, and with faults of its own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.peers.peer import Addresses, Submitter
from benchmarks.peers.poller import Poller


class Small(Poller):
    settings = ("4", "16")
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


class _Wrong(Submitter):
    def __init__(self, real: Submitter) -> None:
        self._real = real

    async def submit(self, count: int) -> None:
        await self._real.submit(count)

    async def ended(self) -> int:
        return await self._real.ended()

    async def round_trip(self) -> int:
        return await self._real.round_trip() + 1
