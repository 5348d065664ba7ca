"""What a queue has to do to be measured."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import ClassVar, Protocol

Addresses = Sequence[str]
"""URLs of a peer's servers, in the order in which it names them."""


class Submitter(Protocol):
    """Submits chains from outside the worker, and sees their ends."""

    @abstractmethod
    async def submit(self, count: int) -> None:
        """Submit so many chains; they are durable when this returns."""

    @abstractmethod
    async def ended(self) -> int:
        """Return how many of the submitted chains have a final result that can be seen."""

    @abstractmethod
    async def round_trip(self) -> int:
        """Submit one chain, wait for its end, and return its final result."""


class Peer(Protocol):
    """One queue, with the settings that its documentation advises for many short tasks."""

    durability: ClassVar[str]
    """What survives, and what doesn't, in a few words."""
    settings: ClassVar[Sequence[str]]
    """Words for `work`, such as numbers of slots; the fastest is measured."""
    chains: ClassVar[int] = 5000
    """How many are submitted for one round of the whole form: at least some ten seconds of work."""

    async def prepare(self, addresses: Addresses) -> None:
        """Create what the library needs in its empty database."""

    @abstractmethod
    def submitter(self, addresses: Addresses) -> AbstractAsyncContextManager[Submitter]:
        """Connect as an application does that submits; nothing submitted before is counted."""

    @abstractmethod
    def work(self, setting: str, addresses: Addresses) -> None:
        """Be a worker process: call `started` when ready, then work until SIGTERM."""

    async def check(self, addresses: Addresses) -> None:
        """Prove after the measurement that nothing was lost.

        Raises:
            RuntimeError: something was; the figures mean nothing then.
        """


def load(location: str) -> Peer:
    """Import and make the peer that is found at `module:class`.

    Raises:
        ImportError: its library isn't installed.
    """
    module, _, name = location.partition(":")
    peer: Peer = getattr(import_module(module), name)()
    return peer
