"""Measure one peer: throughput with the fastest of its settings, then latency."""

import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

import anyio
from anyio.abc import Process

from benchmarks.ground import Form
from benchmarks.peers.chain import RESULT
from benchmarks.peers.peer import Addresses, Peer, Submitter, load
from benchmarks.peers.process import beside
from benchmarks.peers.registry import Entry
from benchmarks.peers.worker import started_at, worker_process

_ROUND_SECONDS = 300.0
_WARM_UPS = 5
_OFTEN, _SELDOM = 0.004, 0.25
"""Seconds between two questions for the number of ends."""
_PAUSE = (0.02, 0.08)
"""Seconds between two chains on an idle worker, at random so that no polling falls into step with it."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured of a peer."""

    rounds: int
    chains: int
    """In one round of throughput."""
    trial: int
    """Chains for each of the settings before."""
    round_trips: int
    """In one round of latency."""

    @classmethod
    def of(cls, peer: Peer, form: Form) -> "Size":
        """Return what a form means for a peer."""
        chains = form.size(peer.chains, max(100, peer.chains // 15))
        return cls(form.size(3, 1), chains, chains // 2, form.size(50, 25))


@dataclass(frozen=True, slots=True)
class Reached:
    """What a peer reached: medians over the rounds."""

    throughput: float
    """Chains in a second."""
    p50: float
    """Milliseconds from the submission to the final result in the submitter's hands."""
    p99: float
    setting: str
    durability: str
    versions: str


async def measure(entry: Entry, form: Form) -> Reached:
    """Start the peer's servers, and measure it.

    Raises:
        RuntimeError: a server or worker ended or got stuck, a chain's result was wrong, or was lost.
    """
    peer = load(entry.location)
    with TemporaryDirectory(prefix="millrace-peers-") as name:
        await anyio.Path(name).chmod(0o711)  # PostgreSQL runs as its own user, with its data below
        async with AsyncExitStack() as stack:
            addresses: list[str] = []
            for number, server in enumerate(entry.servers):
                folder = Path(name, f"server{number}")
                await anyio.Path(folder).mkdir()
                addresses.append(await stack.enter_async_context(server.run(folder)))
            await peer.prepare(addresses)
            return await _Bench(entry, peer, addresses, Path(name)).measure(
                Size.of(peer, form), entry.versions()
            )


class _Bench:
    """One peer on its running servers."""

    def __init__(self, entry: Entry, peer: Peer, addresses: Addresses, folder: Path) -> None:
        self._location, self._peer, self._addresses = entry.location, peer, addresses
        self._log, self._started_file = folder / f"{entry.name}.log", folder / "started"

    async def measure(self, size: Size, versions: str) -> Reached:
        setting = await self._fastest(size)
        rates = [await self._throughput(setting, size.chains) for _ in range(size.rounds)]
        waits = [await self._latency(setting, size.round_trips) for _ in range(size.rounds)]
        await self._peer.check(self._addresses)
        return Reached(
            throughput=median(rates),
            p50=1000 * median(percentile(each, 50) for each in waits),
            p99=1000 * median(percentile(each, 99) for each in waits),
            setting=setting,
            durability=self._peer.durability,
            versions=versions,
        )

    async def _fastest(self, size: Size) -> str:
        if len(self._peer.settings) == 1:
            return self._peer.settings[0]
        rates = {each: await self._throughput(each, size.trial) for each in self._peer.settings}
        return max(rates, key=rates.__getitem__)

    async def _throughput(self, setting: str, chains: int) -> float:
        async with self._peer.submitter(self._addresses) as submitter:
            await submitter.submit(chains)
            async with self._worker(setting) as worker:
                work = until_all_ended(submitter, chains)
                await beside(worker, self._log, work, seconds=_ROUND_SECONDS)
                return chains / (monotonic() - started_at(self._started_file))

    async def _latency(self, setting: str, round_trips: int) -> list[float]:
        async with self._peer.submitter(self._addresses) as submitter, self._worker(setting) as worker:
            work = _round_trips(submitter, round_trips)
            return await beside(worker, self._log, work, seconds=_ROUND_SECONDS)

    def _worker(self, setting: str) -> AbstractAsyncContextManager[Process]:
        return worker_process(self._location, setting, self._addresses, self._log, self._started_file)


async def until_all_ended(submitter: Submitter, chains: int) -> None:
    """Wait for the last end, asking more often as it comes near: asking costs the servers."""
    began = monotonic()
    while (ended := await submitter.ended()) < chains:
        remaining = (monotonic() - began) * (chains - ended) / max(1, ended)
        await anyio.sleep(min(_SELDOM, max(_OFTEN, remaining / 4)))


async def _round_trips(submitter: Submitter, count: int) -> list[float]:
    for _ in range(_WARM_UPS):
        await submitter.round_trip()
    return [await _timed(submitter) for _ in range(count)]


async def _timed(submitter: Submitter) -> float:
    await anyio.sleep(random.uniform(*_PAUSE))  # noqa: S311 -- no secret
    began = monotonic()
    result = await submitter.round_trip()
    took = monotonic() - began
    if result != RESULT:
        raise RuntimeError(f"a chain ended with {result!r}, not with {RESULT}")
    return took


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that so many percent don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
