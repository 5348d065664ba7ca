"""What a look has found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A ready task to claim, or a submitted job to admit, as far as it was read."""

    document: Mapping[str, Any]
    job: str
    queue: str
    """Of a job, that of the stage where its pipeline begins; empty where that isn't claimed here."""
    priority: int
    ready: bool
    """True for a task."""
