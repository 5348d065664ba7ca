"""The routes of reprocesses: many ended jobs that run again as one batch."""

from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, Field

from api.problems import answers
from api.services import AClient, AJobId, AService
from pipeline.planning import Plan
from pipeline.reprocess import Reprocess, Reprocesses
from pipeline.views import BatchView

router = APIRouter(prefix="/v1", responses=answers(422, 503))


class NewReprocess(Reprocess):
    """What is to be run again, and as which batch."""

    id: str | None = Field(default=None, max_length=128)
    """Of the batch, in the form of a job's id; made when not given. Twice with one id is as once."""
    name: str | None = Field(default=None, max_length=512)


class Going(BaseModel):
    """How far a reprocess is."""

    batch: BatchView
    more: bool
    """Call again: not every job was looked at."""


@router.post("/reprocess/plan")
async def plan(request: Reprocess, client: AClient) -> Plan:
    """Tell how many jobs, pages and tokens a reprocess would take, their cost, and what it reuses."""
    return await client.plan(request)


@router.post("/reprocess", status_code=status.HTTP_201_CREATED)
async def create_reprocess(new: NewReprocess, service: AService, client: AClient) -> BatchView:
    """Create a reprocess, which is a batch; `go-on` begins its jobs."""
    request = Reprocess.model_validate(new.model_dump(by_alias=True, exclude={"id", "name"}))
    batch = await Reprocesses(service.store, client.tenant).create(request, id=new.id, name=new.name)
    return await client.batch(batch)


@router.post("/reprocess/{id}/go-on", responses=answers(404))
async def go_on(
    batch: AJobId,
    service: AService,
    client: AClient,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 500,
) -> Going:
    """Look at some `limit` more jobs, and run again what would be other. Call again while there are more.

    After a crash too, and by several callers at once: no job begins twice.
    """
    more = await Reprocesses(service.store, client.tenant).go_on(batch, limit=limit)
    return Going(batch=await client.batch(batch), more=more)
