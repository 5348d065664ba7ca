"""`POST /v1/jobs`: a form is received, checked, and becomes a job."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from api.problems import BadRequest, TooSlow, answers
from api.services import Services, services
from api.services import client as client_of
from api.uploads import Upload
from pipeline.client import Client
from pipeline.errors import DefinitionError, SubmissionError
from pipeline.model import PRIORITY_RANGE
from pipeline.params import check_params, explain
from pipeline.stage import Pipeline
from pipeline.store.documents import InlineFile, StoredFile
from pipeline.views import JobView


class JsonFields(BaseModel):
    """Form fields of which some are JSON."""

    @field_validator("params", "metadata", mode="before", check_fields=False)
    @classmethod
    def _from_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value, parse_constant=_refuse)
        except RecursionError as error:
            raise ValueError("is nested too deeply") from error


class Submission(JsonFields):
    """The form fields of a submission, beside the document."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(default="documents", max_length=40)
    params: dict[str, dict[str, Any]] = {}
    """By stage, as JSON."""
    skip: list[str] = []
    """Comma-separated."""
    priority: int = Field(default=0, ge=PRIORITY_RANGE[0], le=PRIORITY_RANGE[1])
    run_at: datetime | None = None
    deadline: datetime | None = None
    metadata: dict[str, Any] = {}
    """As JSON."""
    batch: str | None = Field(default=None, max_length=128)

    @field_validator("skip", mode="before")
    @classmethod
    def _from_names(cls, value: object) -> object:
        return [name.strip() for name in value.split(",")] if isinstance(value, str) else value

    @field_validator("run_at", "deadline")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("needs a time zone, such as 2030-01-31T08:00:00Z")
        return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The document."},
                        "pipeline": {"type": "string", "default": "documents"},
                        "params": {"type": "string", "description": 'JSON, by stage: {"ocr": {"dpi": 300}}'},
                        "skip": {
                            "type": "string",
                            "description": "Stages to leave out, comma-separated; the others must chain.",
                        },
                        "priority": {"type": "integer", "minimum": -10, "maximum": 10, "default": 0},
                        "run_at": {"type": "string", "format": "date-time"},
                        "deadline": {
                            "type": "string",
                            "format": "date-time",
                            "description": "A job that has not ended by then fails.",
                        },
                        "metadata": {"type": "string", "description": "A JSON object of your own."},
                        "batch": {"type": "string", "description": "Id of the batch that it belongs to."},
                    },
                }
            }
        },
    }
}


router = APIRouter(prefix="/v1", responses=answers(422, 503))


@router.post(
    "/jobs",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=JobView,
    responses=answers(400, 408, 413),
    openapi_extra=_FORM,
)
async def submit(
    request: Request,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Submit a document. When this answers 202 the job is durable."""
    # Asked for here: as dependencies they would cost as much as reading the form.
    service, client = await services(request), await client_of(request)
    stored, name, options = await receive(
        Upload(request), service, client, lambda fields: _checked(fields, service, client)
    )
    assert stored is not None  # noqa: S101 -- it was needed
    # From here on the document is the submission's: when that fails without an answer, the job may be there.
    job, _ = await client.submit(
        stored,
        name,
        options.pop("pipeline"),
        idempotency_key=idempotency_key,
        idempotency_for=service.settings.idempotency,
        **options,
    )
    return Response(
        job.model_dump_json(),
        status.HTTP_202_ACCEPTED,
        {"Location": f"/v1/jobs/{job.id}"},
        media_type="application/json",
    )


async def receive(
    upload: Upload,
    service: Services,
    client: Client,
    check: Callable[[dict[str, str]], Awaitable[dict[str, Any]]],
    *,
    needs_document: bool = True,
) -> tuple[StoredFile | InlineFile | None, str, dict[str, Any]]:
    """Receive a form: its document stored, its name, the other fields checked. On errors nothing stays."""
    stored: StoredFile | InlineFile | None = None
    name, fields = "", {}
    limit = service.settings.upload_timeout.total_seconds()
    try:
        with anyio.fail_after(limit):
            async for part in upload.parts():
                if part.filename is None:
                    fields[part.name] = await part.text()
                elif stored is not None or part.name != "file":
                    raise BadRequest("send one document, in the form field `file`")
                else:
                    name = part.filename
                    stored = await client.receive(part.content(service.settings.max_upload), name)
        if stored is None and needs_document:
            raise BadRequest("there is no document: send it in the form field `file`")
        if stored is not None and stored.size == 0:
            raise SubmissionError("the document is empty: it has no bytes")
        return stored, name, await check(fields)
    except BaseException as error:
        if stored is not None:
            with anyio.move_on_after(5, shield=True):
                await client.discard(stored)
        if isinstance(error, TimeoutError):
            raise TooSlow(f"the upload took longer than {limit:g} s") from error
        raise


async def _checked(fields: dict[str, str], service: Services, client: Client) -> dict[str, Any]:
    """Check a submission's fields, its pipeline, and the params of its stages."""
    try:
        submission = Submission.model_validate(fields)
    except ValidationError as error:
        raise SubmissionError(f"the form is not valid: {explain(error.errors())}") from error
    await check_pipeline(submission.pipeline, submission.params, service, client)
    if submission.skip and submission.pipeline in service.pipelines:
        _check_skip(service.pipelines[submission.pipeline], submission.skip)
    return dict(submission)


def _check_skip(pipeline: Pipeline, skip: list[str]) -> None:
    try:
        pipeline.without(skip)
    except DefinitionError as error:
        raise SubmissionError(str(error)) from error


async def check_pipeline(
    name: str, params: dict[str, dict[str, Any]], service: Services, client: Client
) -> None:
    """Check that some worker knows a pipeline, and the params of its stages where this API knows them.

    Raises:
        SubmissionError: no worker does, or they are not valid.
    """
    pipeline = service.pipelines.get(name)
    if pipeline is not None:
        check_params(pipeline, params)
    elif not await service.store.pipelines.stages_of(name):
        known = sorted({*await client.stage_names(), *service.pipelines})
        raise SubmissionError(f"no worker knows the pipeline {name!r}; there are: {', '.join(known)}")
