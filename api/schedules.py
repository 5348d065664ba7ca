"""The routes of schedules, and of how long ended jobs are kept."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.problems import answers
from api.services import Services, services
from api.services import client as client_of
from api.submissions import JsonFields, check_pipeline, receive
from api.uploads import Upload
from pipeline.client import Client
from pipeline.errors import SubmissionError
from pipeline.model import PRIORITY_RANGE
from pipeline.params import explain
from pipeline.settings import Duration
from pipeline.timetable import Timetable
from pipeline.views import ScheduleView

router = APIRouter(prefix="/v1", responses=answers(422, 503))


async def timetable(request: Request) -> Timetable:
    """Return the caller's tenant's schedules."""
    client = await client_of(request)
    return Timetable((await services(request)).store, client.tenant)


ATimetable = Annotated[Timetable, Depends(timetable)]


class NewSchedule(JsonFields):
    """The form fields of a schedule, beside the document."""

    model_config = ConfigDict(extra="forbid")

    cron: str = Field(max_length=512)
    time_zone: str = Field(default="UTC", max_length=512)
    missed: str = Field(default="latest", max_length=40)
    task: str | None = Field(default=None, max_length=40)
    pipeline: str = Field(default="documents", max_length=40)
    params: dict[str, dict[str, Any]] = {}
    metadata: dict[str, Any] = {}
    priority: int = Field(default=0, ge=PRIORITY_RANGE[0], le=PRIORITY_RANGE[1])


class Retention(BaseModel):
    """How long ended jobs are kept."""

    model_config = ConfigDict(extra="forbid")

    keep: Duration | None
    """As ISO 8601 (`P30D`) or seconds, from a job's end; null: for ever."""


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["cron"],
                    "properties": {
                        "cron": {"type": "string", "description": "Five fields, or six: seconds first."},
                        "time_zone": {"type": "string", "default": "UTC", "examples": ["Europe/Berlin"]},
                        "missed": {"type": "string", "enum": ["latest", "all", "skip"], "default": "latest"},
                        "task": {"type": "string", "enum": ["cleanup"], "description": "Or a document:"},
                        "file": {"type": "string", "format": "binary", "description": "The document."},
                        "pipeline": {"type": "string", "default": "documents"},
                        "params": {"type": "string", "description": 'JSON, by stage: {"ocr": {"dpi": 300}}'},
                        "priority": {"type": "integer", "minimum": -10, "maximum": 10, "default": 0},
                        "metadata": {"type": "string", "description": "A JSON object of your own."},
                    },
                }
            }
        },
    }
}


@router.put("/schedules/{name}", responses=answers(400, 408, 413), openapi_extra=_FORM)
async def put_schedule(name: str, request: Request, schedules: ATimetable) -> ScheduleView:
    """Create a schedule, or replace the one of that name: a job for a document, or a built-in task."""
    service, client = await services(request), await client_of(request)
    stored, document, fields = await receive(
        Upload(request),
        service,
        client,
        lambda given: _checked(given, service, client),
        needs_document=False,
    )
    when = {key: fields[key] for key in ("cron", "time_zone", "missed")}
    if fields["task"] is None and stored is None:
        raise SubmissionError("give a document in the form field `file`, or a built-in `task`")
    if stored is None:
        return await schedules.put_task(name, fields["task"], **when)
    if fields["task"] is not None:
        await client.discard(stored)
        raise SubmissionError("give a document in the form field `file`, or a built-in `task`, not both")
    options = {key: fields[key] for key in ("pipeline", "params", "metadata", "priority")}
    return await schedules.put_job(name, stored, document, **when, **options)


async def _checked(fields: dict[str, str], service: Services, client: Client) -> dict[str, Any]:
    try:
        new = NewSchedule.model_validate(fields)
    except ValidationError as error:
        raise SubmissionError(f"the form is not valid: {explain(error.errors())}") from error
    if new.task is None:
        await check_pipeline(new.pipeline, new.params, service, client)
    return dict(new)


@router.get("/schedules")
async def list_schedules(schedules: ATimetable) -> list[ScheduleView]:
    """List all schedules, by name."""
    return await schedules.all()


@router.get("/schedules/{name}", responses=answers(404))
async def get_schedule(name: str, schedules: ATimetable) -> ScheduleView:
    """Return one schedule."""
    return await schedules.get(name)


@router.post("/schedules/{name}/pause", responses=answers(404))
async def pause_schedule(name: str, schedules: ATimetable) -> ScheduleView:
    """Let no tick fire until it is resumed."""
    return await schedules.pause(name)


@router.post("/schedules/{name}/resume", responses=answers(404))
async def resume_schedule(name: str, schedules: ATimetable) -> ScheduleView:
    """Go on with the next tick; those while it was paused were not missed."""
    return await schedules.resume(name)


@router.delete("/schedules/{name}", status_code=status.HTTP_204_NO_CONTENT, responses=answers(404))
async def delete_schedule(name: str, schedules: ATimetable) -> Response:
    """Remove a schedule; what it has submitted stays."""
    await schedules.delete(name)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/retention")
async def get_retention(schedules: ATimetable) -> Retention:
    """Return how long ended jobs are kept."""
    return Retention(keep=await schedules.retention())


@router.put("/retention")
async def set_retention(new: Retention, schedules: ATimetable) -> Retention:
    """Set how long ended jobs are kept, with all of theirs; a scheduled `cleanup` removes them then."""
    await schedules.set_retention(new.keep)
    return new
