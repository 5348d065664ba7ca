"""The routes of usage and budgets."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from api.operations import AnOperator
from api.problems import BadRequest, answers
from api.services import AClient, AJobId
from pipeline.usage import BudgetView, Grouping, UsageView

router = APIRouter(prefix="/v1", responses=answers(422, 503))

ASubject = Annotated[str, Query(max_length=200, examples=["tenant:acme", "tenant:*", "deployment"])]
ACost = Annotated[Decimal | None, Query(gt=0, max_digits=20, description="In the currency of the prices.")]
ATokens = Annotated[int | None, Query(ge=1, le=2**53, description="Of input and output together.")]
AGrouping = Annotated[Grouping | None, Query(description="What to sum by; without it there is one sum.")]
ALimit = Annotated[int, Query(ge=1, le=1000, description="Groups at most, the costliest or newest.")]
ATenant = Annotated[str | None, Query(max_length=64)]
ASince = Annotated[AwareDatetime | None, Query(description="With a time zone.")]
AnUntil = Annotated[AwareDatetime | None, Query(description="With a time zone; not included.")]


@router.get("/usage")
async def usage(
    client: AClient,
    by: AGrouping = None,
    since: ASince = None,
    until: AnUntil = None,
    limit: ALimit = 100,
) -> UsageView:
    """Return what the caller's tenant has used of services outside, also by jobs that are removed by now."""
    return await client.usage(by=by, since=since, until=until, limit=limit)


@router.get("/jobs/{id}/usage", responses=answers(404))
async def job_usage(job: AJobId, client: AClient, by: AGrouping = None, limit: ALimit = 100) -> UsageView:
    """Return what a job has used of services outside, over all its attempts and runs."""
    return await client.usage(job=job, by=by, limit=limit)


@router.get("/deployment/usage", responses=answers(404))
async def deployment_usage(
    operator: AnOperator,
    tenant: ATenant = None,
    by: AGrouping = None,
    since: ASince = None,
    until: AnUntil = None,
    limit: ALimit = 100,
) -> UsageView:
    """Return what all tenants, or one, have used of services outside; for operators."""
    return await operator.usage(tenant=tenant, by=by, since=since, until=until, limit=limit)


@router.get("/budgets")
async def budgets(operator: AnOperator) -> list[BudgetView]:
    """Return all budgets, and what is used of each."""
    return await operator.budgets()


@router.post("/budget", responses=answers(400, 404))
async def budget(
    subject: ASubject, operator: AnOperator, cost: ACost = None, tokens: ATokens = None
) -> BudgetView:
    """Bound what `tenant:acme`, each `tenant:*` or the `deployment` uses in a day, or `job:ID` in all."""
    if cost is None and tokens is None:
        raise BadRequest("give `cost`, `tokens` or both")
    return await operator.budget(subject, cost=cost, tokens=tokens)


@router.post("/unbudget", responses=answers(404))
async def unbudget(subject: ASubject, operator: AnOperator) -> BudgetView:
    """Take a budget away."""
    return await operator.unbudget(subject)
