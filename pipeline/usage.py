"""Usage: what requests to services outside took and cost, and budgets that bound it.

Costs are in the currency of the prices that the stage knows; None where it knows none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from pydantic import BaseModel

Grouping = Literal["stage", "model", "day", "job", "tenant"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one request took, as the service counts it; or what it is likely to take, before it is made."""

    model: str | None = None
    """Of it, or another name by which it is paid for."""
    input_tokens: int = 0
    output_tokens: int = 0
    pages: int = 0
    cost: Decimal | None = None
    """None: not known."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be used; None: as much as is needed."""

    cost: Decimal | None = None
    tokens: int | None = None
    """Of input and output together."""

    def __bool__(self) -> bool:
        """True when it bounds anything."""
        return self.cost is not None or self.tokens is not None

    def over(self, used: "UsageTotals") -> str | None:
        """Return what is used up, in words; None while more may be used."""
        if self.cost is not None and used.cost >= self.cost:
            return f"{told(used.cost)} of {told(self.cost)} are spent"
        if self.tokens is not None and used.tokens >= self.tokens:
            return f"{used.tokens:,} of {self.tokens:,} tokens are used"
        return None


class UsageTotals(BaseModel):
    """Sums over some requests."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    pages: int = 0
    cost: Decimal = Decimal(0)
    """Of those whose cost is known."""
    unpriced: int = 0
    """Requests whose cost is not known."""
    unsettled: int = 0
    """Requests of which nobody knows how they ended, as their worker died or no answer came: they are in the
    sums with what they were likely to take. Of a day's budget it isn't counted how many these are."""

    @property
    def tokens(self) -> int:
        """Of input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        """Return both together."""
        fields = UsageTotals.model_fields
        return UsageTotals(**{name: getattr(self, name) + getattr(other, name) for name in fields})


def sum_of(spent: Iterable[Spent]) -> UsageTotals:
    """Return the sums over these requests."""
    total = UsageTotals()
    for each in spent:
        total.requests += 1
        total.input_tokens += each.input_tokens
        total.output_tokens += each.output_tokens
        total.pages += each.pages
        total.cost += each.cost or 0
        total.unpriced += each.cost is None
    return total


class UsageGroup(UsageTotals):
    """Sums over the requests that have one thing in common."""

    key: str | None
    """The stage, model, day (`2030-01-31`, UTC), job or tenant."""


class UsageView(BaseModel):
    """What requests outside took and cost."""

    total: UsageTotals
    groups: list[UsageGroup] = []
    """The costliest first; days the newest first."""


class BudgetView(BaseModel):
    """What a subject may use."""

    subject: str
    """`tenant:acme`, each `tenant:*` for itself, or `deployment`: on one day, in UTC. Or `job:ID`: in all."""
    cost: Decimal | None = None
    tokens: int | None = None
    used: UsageTotals | None = None
    """So far: today, or by the job; what is under way is not in it. None for `tenant:*`."""
    at: datetime | None = None
    """When it was set."""


class Accounts(Protocol):
    """Where an attempt's usage is recorded, and its budgets are looked up."""

    async def may_spend(self, own: Budget | None, *, unpriced: str | None) -> bool:
        """Check the budgets, see `StageContext.may_spend`."""
        ...

    async def ask(self, likely: Spent) -> Any:
        """Note, durably, that a request is about to be made; returns what it is called from then on."""
        ...

    async def spend(self, spent: Spent, request: Any = None) -> None:
        """Record what a request took, durably and once, in the place of its note if there is one."""
        ...

    async def give_up(self, request: Any, *, free: bool) -> None:
        """Take a request's note back, as it was free; or let it count, as nobody knows what it took."""
        ...


def told(cost: Decimal) -> str:
    """Write an amount for people."""
    return f"{cost:,f}"
