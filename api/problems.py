"""Errors as RFC 9457 problem details: `application/problem+json`."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from pipeline.errors import (
    ChildProcessDied,
    MillraceError,
    NotFound,
    PermanentError,
    StateConflict,
    StoreError,
    StoreUnavailable,
    SubmissionError,
)
from pipeline.params import explain

_log = logging.getLogger("millrace.api")

RETRY_AFTER_SECONDS = 2
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class TooLarge(MillraceError):
    """The upload is larger than this server takes."""


class TooSlow(MillraceError):
    """The upload takes longer than this server waits."""


class BadRequest(MillraceError):
    """The request cannot be understood."""


_STATUS: list[tuple[type[MillraceError], HTTPStatus]] = [
    (NotFound, HTTPStatus.NOT_FOUND),
    (StateConflict, HTTPStatus.CONFLICT),
    (PermanentError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ChildProcessDied, HTTPStatus.UNPROCESSABLE_ENTITY),
    (SubmissionError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BadRequest, HTTPStatus.BAD_REQUEST),
    (TooSlow, HTTPStatus.REQUEST_TIMEOUT),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreError, HTTPStatus.INTERNAL_SERVER_ERROR),
]


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of these statuses."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, headers, media_type=MEDIA_TYPE)


def install_handlers(app: FastAPI) -> None:
    """Make every error of this application a problem."""
    app.add_exception_handler(MillraceError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_bug)


async def _on_error(_: Request, error: Exception) -> JSONResponse:
    status = next(
        (code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request failed", exc_info=error)
        return problem(status, "The database refused this; the server's log says why.")
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        # The driver's words name hosts and ports: they are the log's, not the caller's.
        _log.warning("request failed: %s", error)
        return problem(status, "The database is not available right now. Try again.", headers)
    return problem(status, str(error), headers)


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, error.detail, dict(error.headers or {}))


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, explain(error.errors()))


async def _on_bug(_: Request, error: Exception) -> JSONResponse:
    _log.error("request failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a bug of the server; its log has the trace.")
