"""Changes of state that people decide on: to cancel, to try again, to let be. Pure, as `transitions`."""

from collections.abc import Mapping
from typing import Any

from pipeline.model import Change, Write
from pipeline.updates import AFRESH, Json, ended, finished, literal, released


def cancel_job() -> Json:
    """Return the update of a job that is cancelled; its filter excludes the final states."""
    return {"$set": finished("cancelled")}


def cancel_task() -> Json:
    """Return the update of the task of a job that is cancelled."""
    return {"$set": ended("cancelled")}


def end_batch(counts: Mapping[str, int], *, cancelled: bool) -> Json:
    """Return the update of a batch whose jobs have all ended, so many in each state.

    Failed when one has failed; else cancelled when it was, or one of them.
    """
    if counts.get("failed"):
        state = "failed"
    else:
        state = "cancelled" if cancelled or counts.get("cancelled") else "succeeded"
    return {"$set": {**finished(state), "counts": literal(dict(counts))}}


def reopen_job(revision: int | None = None, **others: Any) -> Json:
    """Return the update of an ended job of which a stage is run again, under a new revision when given.

    A deadline that was given with the job is over; the pipeline's own time limit begins afresh. `others` are
    fields to set besides, such as a batch that it belongs to now.
    """
    limit = {"$cond": [{"$gt": ["$time_limit", 0]}, {"$add": ["$$NOW", "$time_limit"]}, None]}
    set_too = {name: literal(value) for name, value in others.items()}
    update: dict[str, Any] = {"state": "running", **AFRESH, "deadline": limit, **set_too}
    return {"$set": update if revision is None else {**update, "revision": revision}}


def resubmit_job() -> Json:
    """`failed` → `submitted`, for a job that was never admitted; a deadline that it came with is over."""
    return {"$set": {"state": "submitted", **AFRESH, "deadline": None}}


def try_again(job: str, task: str | None) -> Change:
    """A failed job → `running` with its failed task ready, or → `submitted` if it never had one."""
    update = resubmit_job() if task is None else reopen_job()
    guard = Write("jobs", {"_id": job, "state": "failed"}, [update])
    if task is None:
        return Change(guard=guard)
    return Change(guard=guard, then=(Write("tasks", {"_id": task, "state": "failed"}, [reopen_task()]),))


def discard(job: str) -> Change:
    """Note of a failed job that nobody wants it tried again; it stays failed."""
    match = {"_id": job, "state": "failed", "discarded_at": None}
    return Change(guard=Write("jobs", match, [{"$set": {"discarded_at": "$$NOW"}}]))


def reopen_task() -> Json:
    """`failed` → `ready` with its attempts afresh; revision, checkpoints and errors are kept."""
    return {"$set": {**released(), "run_at": "$$NOW", "attempt": 0, "deaths": 0, "finished_at": None}}
