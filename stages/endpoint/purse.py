"""Pays for requests: looks budgets up before each, and records right after it what it took."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipeline import PermanentError, Spent, StageContext
from stages.endpoint.client import Endpoint, Message
from stages.endpoint.completion import Completion, Refused
from stages.endpoint.job_budget import JobBudget, budget_of
from stages.endpoint.settings import LlmSettings, Price
from stages.endpoint.tokens import Counter
from stages.outputs import Usage

_MILLION = 1_000_000


class Purse:
    """An endpoint whose requests are paid for by one job. It is asked as the endpoint itself."""

    def __init__(
        self, context: StageContext, endpoint: Endpoint, settings: LlmSettings, asked: JobBudget | None
    ) -> None:
        """Make one; `asked` is the budget that the job asks for."""
        self._context = context
        self._endpoint = endpoint
        self._model = settings.model
        self._price = settings.prices.get(settings.model or "")
        self._budget = budget_of(settings, asked)

    @property
    def key(self) -> tuple[str, str, int]:
        """See `Endpoint.key`."""
        return self._endpoint.key

    @property
    def counter(self) -> Counter:
        """See `Endpoint.counter`."""
        return self._endpoint.counter

    async def complete(self, messages: Sequence[Message], schema: dict[str, Any]) -> Completion:
        """Ask the endpoint for one completion, if the budgets allow it.

        What an endpoint charges for an answer that never came, or that is no chat completion, nobody knows.

        Raises:
            BudgetExceeded, DaySpent: a budget is used up, and nothing was asked.
            PermanentError: a budget can't be kept, as no price is known or the endpoint tells no tokens.
            Snooze, TemporaryError, PermanentError: see `Endpoint.complete`.
        """
        unpriced = None if self._price else f"MILLRACE_LLM_PRICES has no price for {self._model!r}"
        bounded = await self._context.may_spend(self._budget, unpriced=unpriced)
        try:
            completion = await self._endpoint.complete(messages, schema)
        except Refused as refusal:
            await self._pay(refusal.usage)
            raise
        await self._pay(completion.usage)
        if bounded and not _is_told(completion.usage):
            raise PermanentError(
                "there is a budget, and the LLM endpoint does not tell how many tokens it used: "
                "take the budget away, or use an endpoint that does"
            )
        return completion

    async def _pay(self, usage: Usage) -> None:
        await self._context.spend(
            Spent(
                model=self._model,
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
                cost=cost_of(usage, self._price) if self._price and _is_told(usage) else None,
            )
        )


def cost_of(usage: Usage, price: Price) -> Decimal:
    """Return what these tokens cost, exactly."""
    return (usage.prompt_tokens * price.input + usage.completion_tokens * price.output) / _MILLION


def _is_told(usage: Usage) -> bool:
    """Tell whether the endpoint has counted: no request has no tokens."""
    return usage.prompt_tokens + usage.completion_tokens > 0
