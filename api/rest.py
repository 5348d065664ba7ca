"""The routes that read jobs, and act on them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from api.health import ListenerView, WorkerView, listener_views, worker_views
from api.problems import answers
from api.services import AClient, AJobId, AService
from pipeline.diff import DiffView
from pipeline.model import JobState
from pipeline.runs import RunView
from pipeline.versions import VersionView
from pipeline.versions import versions as versions_of
from pipeline.views import JobView

router = APIRouter(prefix="/v1", responses=answers(422, 503))


ARevision = Annotated[int | None, Query(ge=1, lt=2**31)]


class JobPage(BaseModel):
    """Some jobs, newest first."""

    jobs: list[JobView]
    next: str | None
    """Give it as `before` for the page after this one."""


@router.get("/jobs")
async def list_jobs(
    client: AClient,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=128)] = None,
    state: JobState | None = None,
    batch: Annotated[str | None, Query(max_length=128)] = None,
) -> JobPage:
    """List jobs, newest first; those of one batch."""
    jobs = await client.jobs(limit=limit, before=before, state=state, batch=batch)
    return JobPage(jobs=jobs, next=jobs[-1].id if len(jobs) == limit else None)


@router.get("/jobs/{id}", responses=answers(404))
async def get_job(job: AJobId, client: AClient) -> JobView:
    """Return one job with its stages."""
    return await client.get(job)


@router.post("/jobs/{id}/cancel", responses=answers(404, 409))
async def cancel(job: AJobId, client: AClient) -> JobView:
    """Cancel a job that has not ended."""
    return await client.cancel(job)


class NewParams(BaseModel):
    """Params for a job that is run again."""

    model_config = ConfigDict(extra="forbid")

    params: dict[str, dict[str, Any]] = {}
    """By stage, laid over those that the job has; null removes one."""


@router.post("/jobs/{id}/retry", responses=answers(404, 409))
async def retry(
    job: AJobId,
    client: AClient,
    stage: Annotated[str | None, Query(max_length=40)] = None,
    force: bool = False,
    new: NewParams | None = None,
) -> JobView:
    """Try a failed job's failed stage again, its finished parts kept; or run an ended job from `stage` on.

    Stages after that one take their earlier output over where all that it depends on is as it was; with
    `force` they run.
    """
    return await client.retry(job, stage, params=new.params if new else None, force=force)


@router.get("/jobs/{id}/outputs/{stage}", responses=answers(404))
async def get_output(job: AJobId, stage: str, client: AClient, revision: ARevision = None) -> dict[str, Any]:
    """Return what a stage wrote in the run that is the job's result, or in that of `revision`."""
    return await client.output(job, stage, revision)


@router.get("/jobs/{id}/runs", responses=answers(404))
async def runs(job: AJobId, client: AClient) -> list[RunView]:
    """Return the runs of a job, oldest first: one more for each time that it was run again."""
    return await client.runs(job)


@router.get("/jobs/{id}/diff", responses=answers(404))
async def diff(
    job: AJobId,
    client: AClient,
    before: Annotated[int | None, Query(ge=1, lt=2**31, alias="from")] = None,
    after: Annotated[int | None, Query(ge=1, lt=2**31, alias="to")] = None,
) -> DiffView:
    """Tell what is other between two runs, field by field; by default the newest two that have succeeded."""
    return await client.diff(job, before, after)


@router.post("/jobs/{id}/promote", responses=answers(404, 409))
async def promote(job: AJobId, client: AClient, revision: ARevision = None) -> JobView:
    """Make a run that has succeeded the job's result, whatever runs later; without `revision` the newest."""
    return await client.promote(job, revision)


@router.get("/listeners")
async def listeners(service: AService) -> list[ListenerView]:
    """Return every listener role: where it is, how far behind, its open gap, its last resume."""
    return await listener_views(service.store)


@router.get("/workers")
async def workers(service: AService) -> list[WorkerView]:
    """Return every worker that is alive."""
    return await worker_views(service.store)


@router.get("/versions")
async def versions(service: AService, jobs: Annotated[int, Query(ge=0, le=1000)] = 0) -> list[VersionView]:
    """Return every version of every pipeline, what still runs on it, and at most `jobs` of each."""
    return await versions_of(service.store, jobs=jobs)
