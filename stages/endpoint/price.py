"""What requests to an endpoint cost, by the prices that the operator gives."""

from decimal import Decimal

from pipeline import Spent
from stages.endpoint.settings import LlmSettings, Price
from stages.outputs import Usage

_MILLION = 1_000_000


def spent_of(settings: LlmSettings, usage: Usage) -> Spent:
    """Return what a request to the model of these settings took; its cost where that can be known."""
    price = settings.prices.get(settings.model or "")
    return Spent(
        model=settings.model,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cost=cost_of(usage, price) if price and is_told(usage) else None,
    )


def cost_of(usage: Usage, price: Price) -> Decimal:
    """Return what these tokens cost, exactly."""
    return (usage.prompt_tokens * price.input + usage.completion_tokens * price.output) / _MILLION


def is_told(usage: Usage) -> bool:
    """Tell whether the endpoint has counted: no request has no tokens."""
    return usage.prompt_tokens + usage.completion_tokens > 0
