"""The routes about failures: counted by reason, listed with their attempts, tried again, discarded."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from api.problems import answers
from api.services import AClient, AJobId, AService
from pipeline.failures import MOST, FailureCount, FailureFilter, Failures, FailureView, Handled
from pipeline.views import AttemptView, JobView

router = APIRouter(prefix="/v1", responses=answers(422, 503))


class FailurePage(BaseModel):
    """What has failed, and was not discarded."""

    counts: list[FailureCount]
    """Of each tenant, pipeline, stage and reason; most first."""
    failures: list[FailureView]
    """The newest."""


async def failures_of(service: AService) -> Failures:
    """Return what handles failures."""
    return Failures(service.store)


AFailures = Annotated[Failures, Depends(failures_of)]


class Bounded(FailureFilter):
    """Which failures, and how many at once."""

    limit: Annotated[int, Query(ge=1, le=10_000)] = MOST

    @property
    def which(self) -> FailureFilter:
        """The filter alone."""
        return FailureFilter.model_validate(self.model_dump(exclude={"limit"}))


ABounded = Annotated[Bounded, Query()]


class Listed(Bounded):
    """Which failures, and how many to list."""

    limit: Annotated[int, Query(ge=0, le=200)] = 50


@router.get("/failures")
async def failures(failures: AFailures, query: Annotated[Listed, Query()]) -> FailurePage:
    """Count failures by reason, and list the newest with their attempts."""
    newest = await failures.newest(query.which, limit=query.limit) if query.limit else []
    return FailurePage(counts=await failures.counts(query.which), failures=newest)


@router.post("/failures/retry")
async def retry_failures(failures: AFailures, query: ABounded) -> Handled:
    """Try failures again, at most `limit` of them, finished parts kept. Call again while some are left."""
    return await failures.retry(query.which, limit=query.limit)


@router.post("/failures/discard")
async def discard_failures(failures: AFailures, query: ABounded) -> Handled:
    """Give failures up, at most `limit` of them: their jobs stay failed, and are listed here no more."""
    return await failures.discard(query.which, limit=query.limit)


@router.get("/jobs/{id}/attempts", responses=answers(404))
async def attempts(job: AJobId, client: AClient) -> list[AttemptView]:
    """Return the failed attempts of a job's stages, the newest 20 of each, oldest first."""
    return await client.attempts(job)


@router.post("/jobs/{id}/discard", responses=answers(404, 409))
async def discard(job: AJobId, client: AClient) -> JobView:
    """Give a failed job up: it stays failed, and is none of the failures any more."""
    return await client.give_up(job)
