"""What goes wrong with an endpoint, as the pipeline's own errors.

Messages carry the endpoint's status and error code, never its text: that may repeat the document
or a part of the key.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx
import openai

from pipeline import PermanentError, TemporaryError

# A server's clock or unit may be wrong; a job that waits for days helps nobody.
LONGEST_WAIT = timedelta(hours=1)
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_GAVE_UP = frozenset({408, 504, 524})
"""Statuses of those who stopped waiting: the last one is Cloudflare's."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class TooLong(PermanentError):
    """The request is too long for the model; a shorter one may not be."""


class WithinAnswer(openai.APIStatusError):
    """An error that came inside of an answer which had begun."""


def as_stage_error(error: openai.APIError) -> TemporaryError | PermanentError:
    """Return the stage error that an endpoint's or the network's failure means."""
    if isinstance(error, openai.APITimeoutError):
        return TemporaryError("the LLM endpoint did not answer in time (MILLRACE_LLM_TIMEOUT)")
    if not isinstance(error, openai.APIStatusError):
        cause = type(error.__cause__ or error).__name__
        return TemporaryError(f"the LLM endpoint cannot be reached or broke off its answer ({cause})")
    status = error.status_code
    answered = f"the LLM endpoint answered {status}{_code(error)}"
    if status in (408, 409, 425, 429) or status >= 500:
        return TemporaryError(answered, retry_after=wait_of(error))
    kind = TooLong if is_too_long(error) else PermanentError
    return kind(f"{answered}: {_advice(error)}")


def reported(error: object, response: httpx.Response) -> openai.APIStatusError:
    """Return an error object that came inside of a response as if it had been the response's status."""
    body = error if isinstance(error, dict) else {}
    code, kind = body.get("code"), body.get("type")
    if isinstance(code, int) and 400 <= code < 600:
        status = code
    elif {code, kind} & _TOO_LONG or kind == "invalid_request_error":
        status = 400
    elif any("rate_limit" in str(each) for each in (code, kind)):
        status = 429
    elif "overloaded_error" in (code, kind):
        status = 503
    else:
        status = 500
    meant = httpx.Response(status, request=response.request)
    return WithinAnswer("an error inside of the answer", response=cast("Any", meant), body=body)


def is_away(error: openai.APIError) -> bool:
    """Tell whether the endpoint is overloaded, away or asks for a pause: never a document's fault."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (429, 502, 503, 504) or wait_of(error) is not None
    if isinstance(error, openai.APITimeoutError):
        return isinstance(error.__cause__, httpx.ConnectTimeout)
    return isinstance(error.__cause__, httpx.ConnectError)


def is_free(error: openai.APIError) -> bool:
    """Tell whether surely nothing is paid for the request: it was refused, or has not reached the endpoint.

    Not where a gateway gave up waiting for the endpoint behind it, which may have answered.
    """
    if isinstance(error, openai.APIStatusError):
        return not isinstance(error, WithinAnswer) and error.status_code not in _GAVE_UP
    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def wait_of(error: openai.APIError) -> timedelta | None:
    """Return the pause that the endpoint asks for."""
    if not isinstance(error, openai.APIStatusError):
        return None
    return retry_after(error.response.headers.get("retry-after"))


def is_too_long(error: openai.APIStatusError) -> bool:
    """Tell whether the endpoint refused the request for its length."""
    return error.status_code == 413 or bool({error.code, error.type} & _TOO_LONG)


def refused_of(error: openai.APIStatusError) -> str | None:
    """Return the request's parameter that the endpoint named as its reason, if only in its words."""
    words = error.message.lower()
    named = (name for name in ("stream_options", "stream") if name in words)
    return error.param or next(named, None)


def retry_after(header: str | None) -> timedelta | None:
    """Return what a Retry-After header asks for, seconds or a date; None where it makes no sense.

    At most `LONGEST_WAIT`, at least zero.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _until(header)
    if not math.isfinite(seconds):
        return None
    return timedelta(seconds=min(max(seconds, 0), LONGEST_WAIT.total_seconds()))


def _until(date: str) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - datetime.now(UTC), timedelta(0)), LONGEST_WAIT)


def _code(error: openai.APIStatusError) -> str:
    for code in (error.code, error.type):
        if isinstance(code, str) and _CODE.fullmatch(code):
            return f" ({code})"
    return ""


def _advice(error: openai.APIStatusError) -> str:
    if is_too_long(error):
        return "the request is too long for the model; set MILLRACE_LLM_CONTEXT to what it takes"
    match error.status_code:
        case 401 | 403:
            return "check MILLRACE_LLM_API_KEY, and that it may use MILLRACE_LLM_MODEL"
        case 404:
            return "check MILLRACE_LLM_BASE_URL, which usually ends in /v1, and MILLRACE_LLM_MODEL"
        case status if status < 400:
            return "redirects are not followed; set MILLRACE_LLM_BASE_URL to where it points"
        case _:
            return "it takes no request of this kind; check MILLRACE_LLM_MODEL and the endpoint's log"
