"""One row of the report: what one engine made of one sample, and whether that is good enough."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Floor:
    """What a measure must reach."""

    measure: str
    """A key of `Score.measures`."""
    limit: float
    bound: Literal["at least", "at most"]

    def holds(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.limit if self.bound == "at least" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Score:
    """What one engine made of one sample."""

    sample: str
    """Such as `contract.pdf 1, degraded`."""
    engine: str
    measures: Mapping[str, float]
    """By name, such as `cer` or `f1`, as shares of 1; the rows of a part have the same names."""
    floor: Floor | None = None
    """None: only told, not judged."""
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the floor is reached; None without a floor."""
        return None if self.floor is None else self.floor.holds(self.measures[self.floor.measure])

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `quality.json`."""
        return {**asdict(self), "ok": self.ok}
