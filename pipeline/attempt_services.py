"""What an attempt needs from outside: the executor provides it from MongoDB, `pipeline.trial` from memory."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from pipeline.effects import Notes
from pipeline.progress import Progress
from pipeline.usage import Accounts


class AttemptServices(Notes, Accounts, Protocol):
    """What an attempt needs from outside; every call may raise `LeaseLost`."""

    async def document_path(self) -> Path:
        """Return a local copy of the document, valid until the attempt ends."""
        ...

    async def checkpoints(self) -> Mapping[str, Any]:
        """Return the parts that earlier attempts saved, by key."""
        ...

    async def save(self, key: str, value: Any, progress: Progress | None) -> None:
        """Save a part and the progress with it, durably, in one transaction."""
        ...

    async def recall(self, key: Mapping[str, Any]) -> tuple[Any] | None:
        """Return the value that this stage remembers under a key, of this tenant's jobs.

        None: it is this attempt's to make, and to `keep` or give up; others wait for it, as this waits for
        one that another makes.
        """
        ...

    async def keep(self, key: Mapping[str, Any], value: Any, lifetime: timedelta) -> None:
        """Remember a value for this stage and tenant, durably."""
        ...

    async def give_up_making(self, key: Mapping[str, Any]) -> None:
        """Let others make what was this attempt's to make."""
        ...

    def use(self, unit: str, amount: int) -> None:
        """Note what was used of a unit; it is settled when the attempt ends."""
        ...

    def report(self, progress: Progress) -> None:
        """Note progress; it is written with the next renewal."""
        ...

    def call(self, service: str) -> None:
        """Note that an outside service is about to be called.

        Raises:
            Unavailable: it is away, and left alone.
        """
        ...

    def called(self, service: str, error: Exception | None) -> None:
        """Note how a call has ended."""
        ...

    async def output(self, stage: str) -> Mapping[str, Any]:
        """Return the body of an earlier stage's output."""
        ...

    async def previous(self) -> Mapping[str, Any] | None:
        """Return the body of this stage's own newest earlier output of the same input and version."""
        ...
