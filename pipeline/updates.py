"""The pieces that changes of state are made of: expressions and fields of updates.

Whatever comes from outside is a `$literal` where an update is a pipeline, as pipelines read strings that
begin with a dollar sign as field paths.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pipeline.model import Failure

OPEN_JOB, OPEN_TASK = ("submitted", "running"), ("ready", "running")
"""States that are not final."""


LONGEST_DELAY = timedelta(days=366)


MAX_ERRORS = 20
"""Attempts whose errors a task keeps; the newest ones stay."""


Json = Mapping[str, Any]


AFRESH: Json = {
    "error": None,
    "finished_at": None,
    "discarded_at": "$$REMOVE",
    "admit_by": "$$REMOVE",
}
"""What an ended job has that goes on, and one for which admission begins once more."""


def literal(value: Any) -> Json:
    """Protect a value from being read as an expression."""
    return {"$literal": value}


def after(delay: timedelta) -> Json:
    """Return the server's time in `delay`, at most a year: a date must stay one that all drivers can read."""
    return {"$add": ["$$NOW", int(min(delay, LONGEST_DELAY) / timedelta(milliseconds=1))]}


def at_once(fields: Json, *dates: str) -> Json:
    """Set fields, and these to the server's time."""
    return {"$set": fields, "$currentDate": dict.fromkeys(dates, True)}


def released() -> dict[str, Any]:
    """Let a task be claimed."""
    return {"state": "ready", "lease.claim_id": None, "lease.worker": None, "lease.until": None}


def delayed(delay: timedelta) -> dict[str, Any]:
    """Release a task for later: until it is due, nobody has its lease."""
    return {**released(), "run_at": after(delay), "lease.until": after(delay)}


def ended(state: str) -> dict[str, Any]:
    """End a task, which nobody holds any more."""
    return {**released(), "state": state, "finished_at": "$$NOW"}


def finished(state: str) -> dict[str, Any]:
    """End a job, or a batch."""
    return {"state": state, "finished_at": "$$NOW"}


def failed_job(failure: Failure, stage: str | None) -> dict[str, Any]:
    """End a job with what went wrong, in which stage."""
    error = {"type": failure.type, "message": failure.message, "part": failure.part, "stage": stage}
    return {**finished("failed"), "error": literal(error)}


def with_error(failure: Failure, by: Json) -> Json:
    """Append a failure to a task's errors; `by` are expressions of its attempt and worker."""
    record = {"$mergeObjects": [literal(asdict(failure)), {**by, "at": "$$NOW"}]}
    return {"$slice": [{"$concatArrays": ["$errors", [record]]}, -MAX_ERRORS]}


def by(attempt: int, worker: str) -> Json:
    """Return the expressions of an attempt and its worker that are known."""
    return {"attempt": attempt, "worker": literal(worker)}
