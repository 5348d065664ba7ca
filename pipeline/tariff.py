"""What the models cost that a stage asks, as its workers register it, so that a plan can tell beforehand."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

_MILLION = 1_000_000


class Price(BaseModel, extra="forbid"):
    """What a model costs, per million tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)

    def of(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return what these tokens cost, exactly."""
        return (input_tokens * self.input + output_tokens * self.output) / _MILLION


class Tariff(BaseModel):
    """The prices of one stage's models."""

    param: str
    """The stage's param by which a job asks for another model."""
    model: str | None
    """The one that is asked for a job which names none."""
    prices: dict[str, Price] = {}
    """By model."""

    def model_of(self, params: Mapping[str, Any]) -> str | None:
        """Return the model that is asked with these params of the stage."""
        return params.get(self.param) or self.model
