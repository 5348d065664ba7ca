"""The event streams' routes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse
from starlette.types import Send

from api.events import Watch
from api.problems import answers
from api.services import AClient, AJobId, AService, Services
from pipeline.client import Client

_CONTENT = {
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": {"type": "string", "enum": ["job", "stage", "state", "batch", "end", "heartbeat"]},
                "data": {"type": "string", "contentMediaType": "application/json"},
                "id": {"type": "string", "description": "For Last-Event-ID."},
            },
        }
    }
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, as they happen.", "content": _CONTENT}
}

router = APIRouter(prefix="/v1", responses={**answers(422, 503), **EVENTS})


class EventStream(StreamingResponse):
    """Messages to one watcher, as long as it reads.

    The framework's own would pass each of them through three tasks, and encode it for each watcher.
    """

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncGenerator[bytes, None]) -> None:
        self._messages = messages
        # Proxies are not to keep anything back.
        super().__init__(messages, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def stream_response(self, send: Send) -> None:
        """Send what there is, until it ends or the watcher has gone."""
        async with aclosing(self._messages):
            await super().stream_response(send)


async def last_event_id(request: Request, service: AService) -> str | None:
    """Check an event id before the response begins, so that a wrong one is a problem."""
    last = request.headers.get("last-event-id")
    if last:
        service.seals.open(last)
    return last


ALastEventId = Annotated[str | None, Depends(last_event_id)]


@router.get("/jobs/{id}/events", status_code=200, response_class=EventStream, responses=answers(400, 404))
async def job_events(job: AJobId, service: AService, client: AClient, last: ALastEventId) -> EventStream:
    """Watch one job: `job`, `stage`, `state` events, then `end`. Honours `Last-Event-ID`."""
    await client.get(job)
    return EventStream(await _watch(service, client, last, job))


@router.get("/events", status_code=200, response_class=EventStream, responses=answers(400))
async def all_events(service: AService, client: AClient, last: ALastEventId) -> EventStream:
    """Watch all jobs. Subscribe first, then read `/v1/jobs`, then apply what comes."""
    return EventStream(await _watch(service, client, last, None))


async def _watch(
    service: Services, client: Client, last: str | None, job: str | None
) -> AsyncGenerator[bytes, None]:
    service.teller.stage_names = await client.stage_names()
    heartbeat = service.settings.heartbeat.total_seconds()
    return _encoded(Watch(service.feed, service.seals, service.teller, client, heartbeat, job), last)


async def _encoded(watch: Watch, last: str | None) -> AsyncGenerator[bytes, None]:
    async with aclosing(watch.messages(last)) as told:
        async for messages in told:
            yield b"".join(each.encoded for each in messages)
