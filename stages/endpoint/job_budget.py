"""What one job may use of an endpoint."""

from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from pipeline import Budget
from stages.endpoint.settings import LlmSettings

Amount = TypeVar("Amount", Decimal, int)


class JobBudget(BaseModel, extra="forbid"):
    """What a job may use; at most what the operator's settings allow it."""

    cost: Annotated[Decimal, Field(gt=0, max_digits=20)] | None = None
    """In the currency of `MILLRACE_LLM_PRICES`."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Of input and output together."""


def budget_of(settings: LlmSettings, asked: JobBudget | None) -> Budget:
    """Return what the job may use: what it asks for, at most what the operator allows."""
    asked = asked or JobBudget()
    return Budget(
        cost=_least(settings.job_cost, asked.cost), tokens=_least(settings.job_tokens, asked.tokens)
    )


def _least(allowed: Amount | None, asked: Amount | None) -> Amount | None:
    if allowed is None or asked is None:
        return asked if allowed is None else allowed
    return min(allowed, asked)
