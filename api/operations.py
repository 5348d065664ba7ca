"""The routes by which operators stop things and let them go on, and learn why something waits."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from api.problems import BadRequest, answers
from api.services import AClient, AJobId, AService
from pipeline.cost import MOST_AMOUNT, TASKS, UNIT
from pipeline.operator import LONGEST, MOST_CONCURRENCY, SHORTEST, Operator
from pipeline.operator_views import LimitView, PauseView, ServiceView
from pipeline.reasons import WhyView

router = APIRouter(prefix="/v1", responses=answers(422, 503))

ASubject = Annotated[str, Query(max_length=200, examples=["stage:documents/ocr", "tenant:acme"])]
AReason = Annotated[str | None, Query(max_length=500)]
AConcurrency = Annotated[int | None, Query(ge=1, le=MOST_CONCURRENCY)]
ARate = Annotated[int | None, Query(ge=1, le=MOST_AMOUNT, description="Units in each interval.")]
AnInterval = Annotated[
    float,
    Query(ge=SHORTEST.total_seconds(), le=LONGEST.total_seconds(), description="The interval, in seconds."),
]
AUnit = Annotated[
    str,
    Query(pattern=f"^{UNIT.pattern}$", description="`tasks`, or what a stage names as its cost."),
]
TheConcurrency = Annotated[bool, Query(description="Take away how many may run at once.")]
TheRate = Annotated[bool, Query(description="Take away its rates, or the one of `unit`.")]
OneUnit = Annotated[
    str | None,
    Query(pattern=f"^{UNIT.pattern}$", description="Of the one rate to take away; implies `rate`."),
]


class DrainView(BaseModel):
    """A worker that begins nothing more."""

    worker: str
    running: int
    """Tasks that it still holds."""


async def operator(service: AService) -> Operator:
    """Return what acts for the caller."""
    return Operator(service.store)


AnOperator = Annotated[Operator, Depends(operator)]


@router.get("/pauses")
async def pauses(operator: AnOperator) -> list[PauseView]:
    """Return everything that is paused, drained workers included."""
    return await operator.pauses()


@router.post("/pause", responses=answers(404))
async def pause(subject: ASubject, operator: AnOperator, reason: AReason = None) -> PauseView:
    """Let nothing begin of `stage:documents/ocr`, `pipeline:documents`, `tenant:acme` or `worker:name`.

    Of `service:openai`: of all stages that use it.
    """
    return await operator.pause(subject, reason)


@router.post("/resume", responses=answers(404))
async def resume(subject: ASubject, operator: AnOperator) -> PauseView:
    """Let what was paused go on; a `service:` that was away is taken to be back."""
    return await operator.resume(subject)


@router.get("/services")
async def services(operator: AnOperator) -> list[ServiceView]:
    """Return the outside services that are left alone: why, until when, and which stages wait for them."""
    return await operator.services()


@router.get("/limits")
async def limits(operator: AnOperator) -> list[LimitView]:
    """Return all limits, and how many tasks run under each."""
    return await operator.limits()


@router.post("/limit", responses=answers(400, 404))
async def limit(
    subject: ASubject,
    operator: AnOperator,
    concurrency: AConcurrency = None,
    rate: ARate = None,
    per: AnInterval = 60,
    unit: AUnit = TASKS,
) -> LimitView:
    """Limit `stage:documents/llm`, `key:openai`, or each `tenant:*`: tasks at once, or a rate of a unit.

    What the subject is limited to besides stays: its concurrency, and a rate of each other unit.
    """
    if concurrency is None and rate is None:
        raise BadRequest("a limit is a concurrency, a rate, or both")
    return await operator.limit(subject, concurrency, rate=rate, per=timedelta(seconds=per), unit=unit)


@router.post("/unlimit", responses=answers(404))
async def unlimit(
    subject: ASubject,
    operator: AnOperator,
    *,
    concurrency: TheConcurrency = False,
    rate: TheRate = False,
    unit: OneUnit = None,
) -> LimitView:
    """Take limits of a subject away, all of them or only those that are named, and return what is left."""
    return await operator.unlimit(subject, concurrency=concurrency, rate=rate, unit=unit)


@router.post("/workers/{name}/drain", responses=answers(404))
async def drain(name: str, operator: AnOperator, reason: AReason = None) -> DrainView:
    """Let a worker begin nothing more, and return how many tasks it holds; ask again until none are left."""
    await operator.drain(name, reason)
    return DrainView(worker=name, running=await operator.running(name))


@router.get("/jobs/{id}/why", responses=answers(404))
async def why(job: AJobId, client: AClient) -> WhyView:
    """Tell why a job isn't running: what is paused or missing, until when it waits, behind how many."""
    return await client.why(job)
