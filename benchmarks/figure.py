"""What a benchmark measures: values beside their references, and series for the plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Bound = Literal["at least", "at most"]
Plot = Literal["workers", "latency"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table, and one entry of `bench.json`."""

    name: str
    """Such as `throughput.one_worker`: the benchmark's name, then what it measured."""
    value: float
    unit: str
    """Such as `chains/s`, `ms`, `%`."""
    reference: float | None = None
    """The same thing done bare, in the same run and the same unit; None when the target is on the value."""
    target: float | None = None
    """What the ratio must reach, or the value when there is no reference; None: nothing was promised."""
    bound: Bound = "at least"
    note: str = ""
    """What a reader has to know: sizes, what the reference is."""

    @property
    def ratio(self) -> float | None:
        """The value divided by its reference."""
        return None if self.reference is None else self.value / self.reference

    @property
    def ok(self) -> bool | None:
        """Whether the target is reached; None when there is none."""
        if self.target is None:
            return None
        measured = self.value if self.ratio is None else self.ratio
        return measured >= self.target if self.bound == "at least" else measured <= self.target

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `bench.json`."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "reference": self.reference,
            "ratio": self.ratio,
            "target": self.target,
            "bound": self.bound,
            "ok": self.ok,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot: y over x, or the distribution of a sample."""

    plot: Plot
    label: str
    """What the legend says, such as `Millrace`."""
    y: Sequence[float]
    """In the plot's unit: chains/s over worker processes, or milliseconds."""
    x: Sequence[float] | None = None
    """As many as `y`, ascending; None when `y` is a sample whose distribution is drawn."""


Measured = Sequence[Figure | Series]
"""What a benchmark returns: a list of figures, and series among them where it has any."""
