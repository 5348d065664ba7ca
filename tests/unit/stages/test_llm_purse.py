"""What a job may use, of what it asks for and what the operator allows; and what its tokens cost."""

from decimal import Decimal

import pytest

from pipeline import Budget, Price
from stages.endpoint.job_budget import JobBudget, budget_of
from stages.endpoint.settings import LlmSettings
from stages.llm.params import LlmParams


@pytest.mark.parametrize(
    ("asked", "allowed", "budget"),
    [
        (None, {}, Budget()),
        ({"cost": 0.1}, {}, Budget(cost=Decimal("0.1"))),
        ({"tokens": 9}, {"job_cost": "2.50"}, Budget(cost=Decimal("2.50"), tokens=9)),
        ({"tokens": 9}, {"job_tokens": "8"}, Budget(tokens=8)),
        ({"tokens": 7}, {"job_tokens": "8"}, Budget(tokens=7)),
        ({"cost": "3"}, {"job_cost": "2"}, Budget(cost=Decimal(2))),
    ],
)
def test_a_job_may_use_the_less_of_what_it_asks_for_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, object] | None, allowed: dict[str, str], budget: Budget
) -> None:
    for name, value in allowed.items():
        monkeypatch.setenv(f"MILLRACE_LLM_{name.upper()}", value)
    params = LlmParams(budget=asked and JobBudget.model_validate(asked))
    assert budget_of(LlmSettings.read(), params.budget) == budget
    assert bool(budget) is (asked is not None)


@pytest.mark.parametrize(
    "wrong", [{"cost": 0}, {"tokens": -1}, {"cost": "much"}, {"euro": 1}, {"cost": "NaN"}]
)
def test_a_budget_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="budget"):
        LlmParams.model_validate({"budget": wrong})


def test_costs_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_LLM_PRICES", '{"m": {"input": 0.1, "output": 0.2}}')
    price = LlmSettings.read().prices["m"]
    assert price == Price(input=Decimal("0.1"), output=Decimal("0.2"))
    assert price.of(3, 1) == Decimal("0.0000005")
