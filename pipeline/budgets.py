"""Whether a task may make one more request to a service outside: its job's budget, and those for the day.

A request begins as long as less than a budget is used. What is under way is not counted, so a budget can be
passed by the requests that run at the same moment, over all workers: one for each, however large it is.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import BudgetExceeded, DaySpent, PermanentError
from pipeline.model import Snoozed, Task
from pipeline.patience import until_available
from pipeline.store import Store
from pipeline.store.budgets import StoredBudget
from pipeline.usage import Budget, told


class Allowance:
    """The budgets that bound one attempt, looked up for each request: a change holds from the next one on."""

    def __init__(self, store: Store, task: Task) -> None:
        self._store = store
        self._task = task

    async def check(self, own: Budget | None, *, unpriced: str | None) -> bool:
        """Return while one more request may be made; False when nothing bounds it.

        One read by ids, and one of index keys for each budget that there is. `own` is what the stage says of
        the job; an operator's budget for the job replaces it. `unpriced` says why its cost isn't known.

        Raises:
            BudgetExceeded: the job's is used up.
            DaySpent: one for the day is.
            PermanentError: one bounds the cost, which isn't known.
        """
        stored = await self._store.budgets.of(self._task.tenant, self._task.job)
        found = {subject: each.budget for subject, each in stored.items()}
        of_job = found.pop(f"job:{self._task.job}", own or Budget())
        bounding = {"job": of_job, **found}
        for subject, budget in bounding.items():
            if budget.cost is not None and unpriced is not None:
                raise PermanentError(
                    f"{_named(subject)} has a budget of {told(budget.cost)}, and what this request costs "
                    f"isn't known: {unpriced}"
                )
        await self._check_job(of_job)
        for subject, budget in found.items():
            await self._check_day(subject, budget, _versions(stored))
        return any(bounding.values())

    async def _check_job(self, budget: Budget) -> None:
        job = self._task.job
        if not budget:
            return
        over = budget.over(await self._store.usage.of_job(self._task.tenant, job))
        if over is not None:
            raise BudgetExceeded(
                f"the job's budget is used up: {over}. Raise it, `millrace budget job {job} --cost …` or "
                "`--tokens …`, and `millrace retry` the job: what is finished is kept"
            )

    async def _check_day(self, subject: str, budget: Budget, seen: Mapping[str, Any]) -> None:
        tenant = None if subject == "deployment" else self._task.tenant
        over = budget.over(await self._store.usage.today(tenant))
        if over is not None:
            raise DaySpent(
                await self._store.usage.rest_of_day(),
                f"the budget of {_named(subject)} for this day (UTC) is used up: {over}; it goes on when the "
                "day is over, or `millrace budget` raises it",
                subject,
                seen,
            )


async def release_if_changed(store: Store, task: Task, outcome: Snoozed) -> None:
    """Let a task go on that waits for a budget which was changed before its waiting was durable.

    Who changed it could not find the task yet; from now on whoever changes it does.
    """
    found = await until_available(lambda: store.budgets.of(task.tenant, task.job), "looking budgets up")
    if _versions(found) != outcome.seen and outcome.budget is not None:
        subject = outcome.budget
        await until_available(lambda: store.budgets.release(subject), "looking budgets up")


def _versions(stored: Mapping[str, StoredBudget]) -> Mapping[str, Any]:
    return {subject: each.version for subject, each in stored.items()}


def _named(subject: str) -> str:
    if subject == "tenant:*":
        return "each tenant"
    kind, _, name = subject.partition(":")
    return f"{kind} {name}" if name else f"the {kind}"
