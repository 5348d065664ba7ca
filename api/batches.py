"""The routes of batches: many jobs as one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, Field

from api.batch_events import BatchWatch, encoded
from api.problems import answers
from api.services import AClient, AJobId, AService
from api.streams import EVENTS, ALastEventId, EventStream
from pipeline.views import BatchView

router = APIRouter(prefix="/v1", responses=answers(422, 503))


class NewBatch(BaseModel):
    """What a batch begins with."""

    model_config = ConfigDict(extra="forbid")

    total: int | None = Field(default=None, ge=0)
    """How many jobs it will have; without it, it ends only after it was closed."""
    name: str | None = Field(default=None, max_length=512)
    metadata: dict[str, Any] = {}


class BatchPage(BaseModel):
    """Some batches, newest first."""

    batches: list[BatchView]
    next: str | None
    """Give it as `before` for the page after this one."""


@router.post("/batches", status_code=status.HTTP_201_CREATED)
async def create_batch(new: NewBatch, client: AClient) -> BatchView:
    """Create a batch; submit jobs with its id in the form field `batch`."""
    return await client.create_batch(total=new.total, name=new.name, metadata=new.metadata)


@router.get("/batches")
async def list_batches(
    client: AClient,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=128)] = None,
) -> BatchPage:
    """List batches, newest first."""
    batches = await client.batches(limit=limit, before=before)
    return BatchPage(batches=batches, next=batches[-1].id if len(batches) == limit else None)


@router.get("/batches/{id}", responses=answers(404))
async def get_batch(batch: AJobId, client: AClient) -> BatchView:
    """Return one batch, with how many of its jobs are in each state."""
    return await client.batch(batch)


@router.post("/batches/{id}/close", responses=answers(404, 409))
async def close_batch(batch: AJobId, client: AClient) -> BatchView:
    """Let a batch have the jobs that it has by now: it ends with the last of them."""
    return await client.close_batch(batch)


@router.post("/batches/{id}/cancel", responses=answers(404, 409))
async def cancel_batch(batch: AJobId, client: AClient) -> BatchView:
    """Cancel a batch: every job of it that has not ended."""
    return await client.cancel_batch(batch)


@router.get(
    "/batches/{id}/events",
    status_code=200,
    response_class=EventStream,
    responses={**answers(400, 404), **EVENTS},
)
async def batch_events(batch: AJobId, service: AService, client: AClient, last: ALastEventId) -> EventStream:
    """Watch a batch: `batch` (all of it) at first and whenever it has changed, then `end`, once.

    Who comes back, with `Last-Event-ID` or without, is told what is, and goes on from there.
    """
    await client.batch(batch)
    heartbeat = service.settings.heartbeat.total_seconds()
    return EventStream(encoded(BatchWatch(service.feed, service.seals, client, heartbeat, batch)))
