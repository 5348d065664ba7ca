"""What operators do, from Python: pause, resume, drain, limit; close breakers, set budgets, read usage."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.breaker import Breaker, hold
from pipeline.cost import MOST_AMOUNT, TASKS
from pipeline.errors import DefinitionError, NotFound, Unavailable
from pipeline.limit import Limit, Rate
from pipeline.model import SERVICE, TENANT_PATTERN, is_job_id, tenant_of
from pipeline.operator_views import LimitView, PauseView, RateView, ServiceView
from pipeline.store import Store
from pipeline.store.budgets import DEPLOYMENT, StoredBudget
from pipeline.store.controls import breaker_of
from pipeline.store.usage import chosen
from pipeline.usage import Budget, BudgetView, Grouping, UsageTotals, UsageView

_TENANT = re.compile(TENANT_PATTERN)
_LONGEST_REASON = 500
MOST_CONCURRENCY = 100_000
MINUTE = timedelta(minutes=1)
SHORTEST, LONGEST = timedelta(seconds=0.1), timedelta(days=31)
"""Intervals of a rate."""


class Operator:
    """What an operator does, over all tenants.

    Subjects are ``stage:documents/ocr`` (of all versions), ``pipeline:documents``, ``tenant:acme`` and
    ``worker:name``; of outside services ``service:openai``. Every worker hears of a change within a second;
    attempts that run are never interrupted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def pause(self, subject: str, reason: str | None = None) -> PauseView:
        """Let nothing of a subject begin until it is resumed; a second pause changes nothing.

        Raises:
            NotFound: there is no such stage, pipeline or live worker, or this can't be a tenant's name.
        """
        await self._check(subject)
        if subject.startswith(SERVICE):
            breaker, _, _ = await self._store.controls.change(subject, hold((reason or "")[:_LONGEST_REASON]))
            return _held(subject, breaker)
        return _view(await self._store.controls.pause(subject, reason and reason[:_LONGEST_REASON]))

    async def resume(self, subject: str) -> PauseView:
        """Let a subject go on; returns the pause that ended. A service is taken to be back.

        Raises:
            NotFound: it is not paused.
        """
        paused = {each["_id"]: each for each in await self._store.controls.list()}
        if subject not in paused or not await self._store.controls.resume(subject):
            told = ", ".join(paused) or "nothing"
            raise NotFound(f"{subject[:200]} is not paused; paused: {told}")
        return _view(paused[subject])

    async def pauses(self) -> list[PauseView]:
        """Return everything that is paused, drained workers and services that are held included."""
        return [_view(each) for each in await self._store.controls.list() if not _is_away(each)]

    async def services(self) -> list[ServiceView]:
        """Return the outside services that are left alone, by name, with why and until when."""
        return [
            ServiceView(
                subject=each["_id"],
                state=breaker.state(each["now"]),
                reason=breaker.why,
                since=breaker.since,
                until=breaker.due,
                failures=breaker.failures,
                stages=list(breaker.stages),
            )
            for each in await self._store.controls.list()
            if (breaker := breaker_of(each)) is not None
        ]

    async def drain(self, worker: str, reason: str | None = None) -> PauseView:
        """Let a worker begin nothing more; what it runs goes on to its end, and it stays until it is stopped.

        Raises:
            NotFound: no worker of that name is alive.
        """
        return await self.pause(f"worker:{worker}", reason)

    async def running(self, worker: str) -> int:
        """Return how many tasks a worker holds; at 0 a drained one can be stopped and interrupts none."""
        return (await self._store.waits.held()).get(worker, 0)

    async def limit(
        self,
        subject: str,
        concurrency: int | None = None,
        *,
        rate: int | None = None,
        per: timedelta = MINUTE,
        unit: str = TASKS,
    ) -> LimitView:
        """Let at most that many tasks of a subject run at once, or use so much of a unit in each interval.

        Over all workers. What the subject is limited to besides stays: its concurrency, and a rate of each
        unit. What runs already is counted, and goes on. `tenant:*`, or `key:openai/*`, limits each one that
        begins so for itself; a longer name goes before a shorter one, with all of its limits.

        Args:
            subject: See `LimitView`.
            concurrency: From 1 to 100,000.
            rate: Units, from 1 on. A whole interval's can be used at once after a pause.
            per: The interval, from 0.1 seconds to 31 days.
            unit: `tasks`, of which an attempt takes one as it begins, or one that a stage names as its cost.

        Raises:
            NotFound: there is no such stage, what can't be limited, or a unit that no such stage names.
            ValueError: nothing is given, or something out of its range.
        """
        _check_amounts(concurrency, rate, per)
        kind, _, name = subject.partition(":")
        if kind not in ("stage", "tenant", "key") or not name or "#" in name:
            raise NotFound(f"{subject[:80]!r} can't be limited: stage:, tenant: and key: can")
        if not name.endswith("*") and kind != "key":
            await self._check(subject)
        rates = {}
        if rate is not None:
            await self._check_unit(subject, unit)
            rates[unit] = Rate(rate, per.total_seconds())
        return await self._limit_view(
            subject, await self._store.limits.add(subject, Limit(concurrency, rates))
        )

    async def unlimit(
        self, subject: str, *, concurrency: bool = False, rate: bool = False, unit: str | None = None
    ) -> LimitView:
        """Take a subject's limits away: all of them, or only those that are named; returns what is left.

        Args:
            subject: See `LimitView`.
            concurrency: Take away how many may run at once.
            rate: Take away its rates, all of them or the one of `unit`.
            unit: Of the rate; implies it.

        Raises:
            NotFound: there is no such limit; the message says which there are.
        """
        rate = rate or unit is not None
        whole = not (concurrency or rate)

        def decide(before: Limit) -> Limit:
            units = (before.rates if unit is None else [unit]) if rate or whole else ()
            return before.without(concurrency=concurrency or whole, units=units)

        before, left = await self._store.limits.change(subject, decide)
        if left != before:
            return await self._limit_view(subject, left)
        if not before:
            limits = await self._store.limits.list()
            raise NotFound(f"{subject[:200]} is not limited; limited: {', '.join(limits) or 'nothing'}")
        told = [*(["a concurrency"] if before.concurrency is not None else []), *_rates_said(before)]
        raise NotFound(f"{subject[:200]} has no such limit; it has {', '.join(told)}")

    async def limits(self) -> list[LimitView]:
        """Return all limits."""
        return [await self._limit_view(*each) for each in (await self._store.limits.list()).items()]

    async def budget(
        self, subject: str, *, cost: Decimal | None = None, tokens: int | None = None
    ) -> BudgetView:
        """Bound what `tenant:acme`, each `tenant:*` or `deployment` uses in a day (UTC), or `job:ID` in all.

        It replaces the one that was there. What waits for a budget of this day looks again at once.

        Raises:
            NotFound: there is no such job, or nothing of this kind has a budget.
            ValueError: neither is given, or one is not positive.
        """
        budget = Budget(cost, tokens)
        if not budget or (cost is not None and cost <= 0) or (tokens is not None and tokens <= 0):
            raise ValueError("a budget has a cost, tokens or both, more than 0; to stop something, pause it")
        await self._check_budget(subject)
        await self._store.budgets.set(subject, budget)
        return await self._budget_view(subject, (await self._store.budgets.list())[subject])

    async def unbudget(self, subject: str) -> BudgetView:
        """Take a budget away; returns it.

        Raises:
            NotFound: there is none.
        """
        budgets = await self._store.budgets.list()
        if subject not in budgets or not await self._store.budgets.remove(subject):
            raise NotFound(f"{subject[:200]} has no budget; budgets: {', '.join(budgets) or 'none'}")
        return await self._budget_view(subject, budgets[subject])

    async def budgets(self) -> list[BudgetView]:
        """Return all budgets, with what is used of each."""
        return [await self._budget_view(*each) for each in (await self._store.budgets.list()).items()]

    async def usage(
        self,
        *,
        tenant: str | None = None,
        by: Grouping | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> UsageView:
        """Return what all tenants, or one, have used of services outside; see `Client.usage`."""
        return await self._store.usage.view(chosen(tenant, None, since, until), by, limit)

    async def _check_budget(self, subject: str) -> None:
        kind, _, name = subject.partition(":")
        if kind == "job":
            if not is_job_id(name):
                raise NotFound(f"there is no job {name[:80]}")
            await self._store.jobs.get(name, tenant_of(name))
        elif kind == "tenant" and name != "*":
            await self._check(subject)
        elif subject not in (DEPLOYMENT, "tenant:*"):
            raise NotFound(
                f"{subject[:80]!r} has no budget: `tenant:` with a name or *, `job:` and `{DEPLOYMENT}` have"
            )

    async def _budget_view(self, subject: str, stored: StoredBudget) -> BudgetView:
        kind, _, name = subject.partition(":")
        usage = self._store.usage
        used: UsageTotals | None
        if kind == "job":
            used = await usage.of_job(tenant_of(name), name)
        else:
            used = None if name == "*" else await usage.today(name or None)
        budget = stored.budget
        return BudgetView(subject=subject, cost=budget.cost, tokens=budget.tokens, used=used, at=stored.at)

    async def _limit_view(self, subject: str, limit: Limit) -> LimitView:
        each_one = subject.endswith("*")
        left, _ = await self._store.rates.left({subject: limit})
        return LimitView(
            subject=subject,
            concurrency=limit.concurrency,
            running=None if each_one else (await self._store.limits.running())[subject],
            rates=[
                RateView(
                    unit=unit,
                    amount=rate.amount,
                    per=rate.per,
                    left=None if each_one else left[subject, unit],
                )
                for unit, rate in sorted(limit.rates.items())
            ],
        )

    async def _check_unit(self, subject: str, unit: str) -> None:
        """Raise NotFound for a unit in which nothing of this subject costs anything."""
        named = {TASKS} | {
            each
            for pipeline in await self._store.pipelines.list()
            for stage in pipeline["stages"]
            if not subject.startswith("stage:") or _fits(subject, f"stage:{pipeline['name']}/{stage['name']}")
            for each in stage.get("units", ())
        }
        if unit not in named:
            raise NotFound(
                f"no stage that a worker has hosted costs {unit[:80]!r} there, see @stage(cost=...); "
                f"units: {', '.join(sorted(named))}"
            )

    async def _check(self, subject: str) -> None:
        kind, _, name = subject.partition(":")
        match kind:
            case "tenant":
                if not _TENANT.fullmatch(name):
                    raise NotFound(f"{name[:80]!r} can't be a tenant: {TENANT_PATTERN}")
            case "service":
                try:
                    Unavailable.check(name)
                except DefinitionError as error:
                    raise NotFound(str(error)) from None
            case "worker":
                _require(kind, name, [each["_id"] for each in await self._store.workers.alive()])
            case "pipeline":
                _require(kind, name, {each["name"] for each in await self._store.pipelines.list()})
            case "stage":
                stages = {
                    f"{each['name']}/{stage['name']}"
                    for each in await self._store.pipelines.list()
                    for stage in each["stages"]
                }
                _require(kind, name, stages)
            case _:
                raise NotFound(
                    f"{kind[:80]!r} can't be paused: stage, pipeline, tenant and worker can, and service"
                )


def _rates_said(limit: Limit) -> list[str]:
    return [f"a rate of {unit}" for unit in limit.rates]


def _check_amounts(concurrency: int | None, rate: int | None, per: timedelta) -> None:
    if concurrency is None and rate is None:
        raise ValueError("a limit is a concurrency, a rate, or both")
    if concurrency is not None and not 1 <= concurrency <= MOST_CONCURRENCY:
        raise ValueError(f"a concurrency is from 1 to {MOST_CONCURRENCY}; to stop something, pause it")
    if rate is not None and not 1 <= rate <= MOST_AMOUNT:
        raise ValueError(f"a rate is from 1 to {MOST_AMOUNT}; to stop something, pause it")
    if not SHORTEST <= per <= LONGEST:
        raise ValueError(f"a rate is per {SHORTEST.total_seconds():g} s to {LONGEST.days} days")


def _fits(subject: str, stage: str) -> bool:
    """Tell whether a limited subject is this stage, or each of a beginning that it has."""
    return subject == stage or (subject.endswith("*") and stage.startswith(subject[:-1]))


def _require(kind: str, name: str, known: Any) -> None:
    if name not in known:
        told = ", ".join(sorted(known)) or "none"
        raise NotFound(f"there is no {kind} {name[:80]!r}; there are: {told}")


def _held(subject: str, breaker: Breaker | None) -> PauseView:
    return PauseView(subject=subject, reason=(breaker and breaker.why) or None, at=breaker and breaker.since)


def _is_away(control: Mapping[str, Any]) -> bool:
    breaker = breaker_of(control)
    return breaker is not None and breaker.until is not None


def _view(control: Mapping[str, Any]) -> PauseView:
    breaker = breaker_of(control)
    if breaker is not None:
        return _held(control["_id"], breaker)
    return PauseView(subject=control["_id"], reason=control.get("reason"), at=control.get("at"))
