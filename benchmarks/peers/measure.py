"""Measure peers by turns: throughput with the fastest of their settings, and latency."""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
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

ROUNDS = 5
"""Of the whole form."""
_ROUND_SECONDS = 300.0
_WARM_UPS = 5
_OFTEN, _SELDOM = 0.004, 0.25
"""Seconds between two questions for the number of ends."""
_PAUSE = (0.02, 0.08)
"""Seconds between two chains on an idle worker, at random so that no polling falls into step with it."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured of a peer."""

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
        return cls(chains, chains // 2, form.size(50, 25))


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


Outcome = Reached | Exception


async def measure(entries: Sequence[Entry], form: Form, tell: Callable[[str], None]) -> Mapping[str, Outcome]:
    """Measure peers by turns, round by round; returns what each reached, or why it could not be measured.

    By turns, as a machine may be half as fast a minute later: so all meet the same. `tell` hears what is
    measured now. What can be raised of a peer is that a server or worker ended or got stuck, or that a
    chain's result was wrong or lost; the others are still measured.
    """
    turns = {entry.name: _Turns(entry, form) for entry in entries}
    outcomes: dict[str, Outcome] = {}
    rounds = form.size(ROUNDS, 1)
    for number in range(rounds + 1):
        for name, each in turns.items():
            if name in outcomes:
                continue
            tell(f"{each.title}, " + (f"round {number} of {rounds}" if number else "settings"))
            try:
                await (each.round() if number else each.choose())
            except Exception as error:  # noqa: BLE001 -- the caller tells of it
                outcomes[name] = error
    return {name: outcomes.get(name) or each.reached() for name, each in turns.items()}


class _Turns:
    """One peer's."""

    def __init__(self, entry: Entry, form: Form) -> None:
        self.title = entry.title
        self._entry, self._form = entry, form
        self._setting = ""
        self._rates: list[float] = []
        self._waits: list[list[float]] = []

    async def choose(self) -> None:
        """Find the fastest of its settings."""
        settings = load(self._entry.location).settings
        if len(settings) == 1:
            [self._setting] = settings
            return
        async with _running(self._entry) as ground:
            trial = Size.of(ground.peer, self._form).trial
            rates = {each: await ground.throughput(each, trial) for each in settings}
        self._setting = max(rates, key=rates.__getitem__)

    async def round(self) -> None:
        """Measure it once, on servers that were just started."""
        async with _running(self._entry) as ground:
            size = Size.of(ground.peer, self._form)
            self._rates.append(await ground.throughput(self._setting, size.chains))
            self._waits.append(await ground.latency(self._setting, size.round_trips))
            await ground.check()

    def reached(self) -> Reached:
        """Return the medians of its rounds."""
        return Reached(
            throughput=median(self._rates),
            p50=1000 * median(percentile(each, 50) for each in self._waits),
            p99=1000 * median(percentile(each, 99) for each in self._waits),
            setting=self._setting,
            durability=load(self._entry.location).durability,
            versions=self._entry.versions(),
        )


@asynccontextmanager
async def _running(entry: Entry) -> AsyncIterator["_Ground"]:
    """Start a peer's servers, and stop them behind the block."""
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
            yield _Ground(entry, peer, addresses, Path(name))


class _Ground:
    """One peer on its running servers."""

    def __init__(self, entry: Entry, peer: Peer, addresses: Addresses, folder: Path) -> None:
        self.peer = peer
        self._location, self._addresses = entry.location, addresses
        self._log, self._started_file = folder / f"{entry.name}.log", folder / "started"

    async def throughput(self, setting: str, chains: int) -> float:
        """Return the chains in a second of a worker that starts on so many."""
        async with self.peer.submitter(self._addresses) as submitter:
            await submitter.submit(chains)
            async with self._worker(setting) as worker:
                work = until_all_ended(submitter, chains)
                await beside(worker, self._log, work, seconds=_ROUND_SECONDS)
                return chains / (monotonic() - started_at(self._started_file))

    async def latency(self, setting: str, round_trips: int) -> list[float]:
        """Return the seconds that chains take, one by one, on a worker that has nothing else to do."""
        async with self.peer.submitter(self._addresses) as submitter, self._worker(setting) as worker:
            work = _round_trips(submitter, round_trips)
            return await beside(worker, self._log, work, seconds=_ROUND_SECONDS)

    async def check(self) -> None:
        """Prove that nothing was lost."""
        await self.peer.check(self._addresses)

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
