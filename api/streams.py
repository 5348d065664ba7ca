"""The event streams' routes."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.events import Watch
from api.problems import answers
from api.services import AJobId, client, services

router = APIRouter(prefix="/v1", responses=answers(422, 503))


async def _watch(request: Request, job: str | None) -> AsyncIterator[ServerSentEvent]:
    service, tenant = await services(request), await client(request)
    watch = Watch(
        feed=service.feed,
        seals=service.seals,
        client=tenant,
        heartbeat=service.settings.heartbeat.total_seconds(),
        stage_names=await tenant.stage_names(),
        job=job,
    )
    return watch.events(request.headers.get("last-event-id"))


async def watch_job(request: Request, job: AJobId) -> AsyncIterator[ServerSentEvent]:
    """Check a watcher's request before the response begins, so that errors are problems."""
    service = await services(request)
    last = request.headers.get("last-event-id")
    if last:
        service.seals.open(last)
    await (await client(request)).get(job)
    return await _watch(request, job)


async def watch_all(request: Request) -> AsyncIterator[ServerSentEvent]:
    """Check a watcher's request before the response begins."""
    last = request.headers.get("last-event-id")
    if last:
        (await services(request)).seals.open(last)
    return await _watch(request, None)


@router.get("/jobs/{id}/events", response_class=EventSourceResponse, responses=answers(400, 404))
async def job_events(
    events: Annotated[AsyncIterator[ServerSentEvent], Depends(watch_job)],
) -> AsyncIterable[ServerSentEvent]:
    """Watch one job: `job`, `stage`, `state` events, then `end`. Honours `Last-Event-ID`."""
    async for event in events:
        yield event


@router.get("/events", response_class=EventSourceResponse, responses=answers(400))
async def all_events(
    events: Annotated[AsyncIterator[ServerSentEvent], Depends(watch_all)],
) -> AsyncIterable[ServerSentEvent]:
    """Watch all jobs. Subscribe first, then read `/v1/jobs`, then apply what comes."""
    async for event in events:
        yield event
