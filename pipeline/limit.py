"""Values: a limit on a subject is how many of its tasks may run at once, and rates at which they begin.

A rate is a bucket of `amount` units, full at first, into which the same flows back in each interval. A
task begins when what it costs is in the bucket, or when the bucket is full if it costs more than that.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.cost import TASKS

Account = tuple[str, str]
"""A subject and a unit: one bucket."""

Mark = tuple[str, str | None]
"""What may be full: a bucket; with None how many of a subject's tasks run at once."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many units in each interval."""

    amount: int
    per: float
    """Seconds."""

    def left(self, before: float, seconds: float) -> float:
        """Return what is in the bucket, of what was in it so many seconds before; below 0 what is owed."""
        return min(float(self.amount), before + max(0.0, seconds) * self.amount / self.per)

    def wait(self, left: float, cost: float) -> float:
        """Return the seconds until a task of this cost may begin; 0 when it may now."""
        return max(0.0, min(cost, self.amount) - left) * self.per / self.amount


@dataclass(frozen=True, slots=True)
class Limit:
    """What one subject is limited to."""

    concurrency: int | None = None
    """Tasks that may run at once; None for any number."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By unit."""

    def joined(self, other: "Limit") -> "Limit":
        """Return this with what the other one says."""
        concurrency = self.concurrency if other.concurrency is None else other.concurrency
        return Limit(concurrency, {**self.rates, **other.rates})

    def without(self, *, concurrency: bool = False, units: Collection[str] = ()) -> "Limit":
        """Return this without its concurrency, or without the rates of these units."""
        rates = {unit: each for unit, each in self.rates.items() if unit not in units}
        return Limit(None if concurrency else self.concurrency, rates)

    def __bool__(self) -> bool:
        """True while anything is limited."""
        return self.concurrency is not None or bool(self.rates)

    def takes(self, cost: Mapping[str, int]) -> dict[str, int]:
        """Return what a task of this cost takes of the rates, by unit."""
        costs = {TASKS: 1, **cost}
        return {unit: costs[unit] for unit in self.rates if unit in costs}

    def stored(self) -> dict[str, Any]:
        """Return it as the database has it."""
        rates = {unit: {"amount": each.amount, "per": each.per} for unit, each in self.rates.items()}
        return {
            **({} if self.concurrency is None else {"concurrency": self.concurrency}),
            **({"rates": rates} if rates else {}),
        }


def limit_of(stored: Mapping[str, Any]) -> Limit:
    """Return a limit of what the database has."""
    concurrency = stored.get("concurrency")
    rates = stored.get("rates") or {}
    return Limit(
        None if concurrency is None else int(concurrency),
        {unit: Rate(int(each["amount"]), float(each["per"])) for unit, each in rates.items()},
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit has held back a task."""

    subject: str
    unit: str | None = None
    """Of the rate; None where too many ran."""
    wait: float | None = None
    """Seconds until the rate has enough for it; None where nobody knows."""
