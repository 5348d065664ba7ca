"""Pays for requests: looks budgets up before each."""

from collections.abc import Sequence
from typing import Any

from pipeline import PermanentError, StageContext
from stages.endpoint.client import Endpoint, Message
from stages.endpoint.completion import Completion
from stages.endpoint.job_budget import JobBudget, budget_of
from stages.endpoint.price import is_told
from stages.endpoint.settings import LlmSettings
from stages.endpoint.tokens import Counter


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

        Raises:
            BudgetExceeded, DaySpent: a budget is used up, and nothing was asked.
            PermanentError: a budget can't be kept, as no price is known or the endpoint tells no tokens.
            Snooze, TemporaryError, PermanentError: see `Endpoint.complete`.
        """
        unpriced = None if self._price else f"MILLRACE_LLM_PRICES has no price for {self._model!r}"
        bounded = await self._context.may_spend(self._budget, unpriced=unpriced)
        completion = await self._endpoint.complete(messages, schema)
        if bounded and not is_told(completion.usage):
            raise PermanentError(
                "there is a budget, and the LLM endpoint does not tell how many tokens it used: "
                "take the budget away, or use an endpoint that does"
            )
        return completion
