"""What requests to an endpoint cost, by the prices that the operator gives."""

from pipeline import Spent
from stages.endpoint.settings import LlmSettings
from stages.outputs import Usage


def spent_of(settings: LlmSettings, usage: Usage) -> Spent:
    """Return what a request to the model of these settings took; its cost where that can be known."""
    price = settings.prices.get(settings.model or "")
    return Spent(
        model=settings.model,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cost=price.of(usage.prompt_tokens, usage.completion_tokens) if price and is_told(usage) else None,
    )


def is_told(usage: Usage) -> bool:
    """Tell whether the endpoint has counted: no request has no tokens."""
    return usage.prompt_tokens + usage.completion_tokens > 0
