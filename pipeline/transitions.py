"""How states change as work goes on: pure functions that return the `Change` to commit.

Beside `decisions`, which people take, and `repairs`, there is no other place where a state changes.

Each takes what it needs and nothing else, so that an illegal change cannot be spelled. Times are the
server's, as workers' clocks may be wrong. What happens to every job is an update by operators
(`$currentDate`), which costs the server half of an update pipeline. Where a value depends on others, it is
a pipeline (`$$NOW`); there whatever comes from outside is a `$literal`, as pipelines read strings that
begin with a dollar sign as field paths.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from pipeline.document import Document
from pipeline.model import (
    Change,
    Failure,
    Hold,
    Lease,
    Submitted,
    Succeeded,
    Task,
    Update,
    Write,
    pond_name,
    stage_of,
)
from pipeline.new_task import Given, new_task
from pipeline.progress import Progress
from pipeline.stage import Pipeline
from pipeline.updates import (
    OPEN_TASK,
    Json,
    after,
    at_once,
    by,
    delayed,
    ended,
    failed_job,
    literal,
    released,
    with_error,
)


def held(task: str, lease: Lease) -> Json:
    """Return the filter that only the holder of this lease matches."""
    return {"_id": task, "state": "running", "lease.claim_id": lease.claim_id, "lease.fence": lease.fence}


def admit(
    job: Submitted,
    pipeline: Pipeline,
    traceparent: str | None,
    hold: Hold | None = None,
    blocker: str | None = None,
    *,
    quiet: bool = False,
) -> Change:
    """`submitted` → `running`, and the first stage's task; the trace goes with both.

    With `hold` the task is created as claimed, and begins at once; with `blocker` in that subject's pond.
    `quiet` when nobody else is there to hear of it: but somebody may come, who must know of a time limit.
    `pipeline` is without what the job skips.
    """
    job = replace(job, traceparent=traceparent)
    started = {
        "state": "running",
        "pipeline_version": pipeline.version,
        "stages": list(pipeline.names),
        "traceparent": traceparent,
    }
    first = new_task(
        job, pipeline, pipeline.stages[0], 1, Given(job.document_sha256, job.document_size), hold
    )
    if blocker is not None:
        first["queue"] = pond_name(first["queue"], blocker)
    return Change(
        guard=Write("jobs", {"_id": job.id, "state": "submitted"}, _started(started, pipeline)),
        creates=(("tasks", first),),
        quiet=quiet and pipeline.timeout is None,
    )


def complete(task: Task, result: Succeeded, pipeline: Pipeline, hold: Hold | None = None) -> Change:
    """`running` → `succeeded`, the output, and the next stage's task or the job's end.

    With `hold` the next task is created as claimed.
    """
    output = result.output
    record = {
        "_id": task.id,
        "job": task.job,
        "tenant": task.tenant,
        "stage": task.stage,
        "revision": task.revision,
        "stage_version": output.recipe.version,
        "params": output.recipe.params,
        **({} if output.recipe.engine is None else {"engine": output.recipe.engine}),
        "claim_id": task.lease.claim_id,
        "fence": task.lease.fence,
        "input_sha256": output.input_sha256,
        "sha256": output.sha256,
        "size": output.size,
        **({"body": output.body} if output.file_id is None else {"file_id": output.file_id}),
        **({} if output.reused_from is None else {"reused_from": output.reused_from}),
    }
    ended = _TASK_SUCCEEDED
    if result.progress is not None:
        ended = at_once({**ended["$set"], "progress": asdict(result.progress)}, "finished_at")
    elif output.reused_from is not None:
        ended = at_once({**ended["$set"], "reused_from": output.reused_from}, "finished_at")
    guard = Write("tasks", held(task.id, task.lease), ended)
    following = pipeline.after(task.stage)
    if following is None:
        end = Write("jobs", {"_id": task.job, "state": "running"}, _JOB_SUCCEEDED)
        return Change(guard=guard, then=(end,), creates=(("outputs", record),), ends_job=True)
    inputs = {**task.inputs, task.stage: task.revision}
    if following.input is Document:
        given = Given(task.document.sha256, task.document.size, None, inputs)
    else:
        given = Given(output.sha256, output.size, task.id, inputs)
    next_task = new_task(task, pipeline, following, task.revision, given, hold)
    return Change(guard=guard, creates=(("outputs", record), ("tasks", next_task)))


def fail(task: Task, failure: Failure) -> Change:
    """`running` → `failed`, and the job with it."""
    return _fail(held(task.id, task.lease), task.job, failure, task.attempt, task.lease.worker)


def retry(task: Task, failure: Failure, delay: timedelta) -> Change:
    """`running` → `ready` in `delay`; the attempt stays charged."""
    update = {
        **delayed(delay),
        "errors": with_error(failure, by(task.attempt, task.lease.worker)),
    }
    return Change(guard=Write("tasks", held(task.id, task.lease), [{"$set": update}]))


def interrupt(task: Task) -> Change:
    """`running` → `ready` at once, as if the attempt had not been."""
    update = {**released(), **_UNCHARGED, "run_at": "$$NOW"}
    return Change(guard=Write("tasks", held(task.id, task.lease), [{"$set": update}]))


def snooze(
    task: Task, delay: timedelta, why: str, budget: str | None = None, service: str | None = None
) -> Change:
    """`running` → `ready` in `delay`, as if the attempt had not been; the reason is kept.

    With `budget`, the subject whose budget is spent, it may be hastened. `service`, which is away, is noted
    where the tasks of the stage call different ones: this one may be another than was expected.
    """
    times = {"$add": [{"$ifNull": ["$snoozed.times", 0]}, 1]}
    update = {
        **delayed(delay),
        **_UNCHARGED,
        **({} if service is None else {"service": literal(service)}),
        "snoozed": {
            "times": times,
            "why": literal(why),
            "at": "$$NOW",
            "budget": "$$REMOVE" if budget is None else literal(budget),
        },
    }
    return Change(guard=Write("tasks", held(task.id, task.lease), [{"$set": update}]))


def hasten() -> Json:
    """Return the update of a delayed task that is to run at once; its filter excludes others."""
    return {"$set": {"run_at": "$$NOW", "lease.until": None}}


def rescue(task: Mapping[str, Any], failure: Failure, *, expired: bool) -> Change:
    """`running` → `ready`, or `failed` when no attempt is left, for a task whose worker is gone.

    With `expired` the lease must have run out by the server's clock; without it the caller knows
    that the worker is dead.
    """
    lease = task["lease"]
    match: dict[str, Any] = {
        "_id": task["_id"],
        "state": "running",
        "lease.claim_id": lease["claim_id"],
        "lease.fence": lease["fence"],
    }
    if expired:
        match["$expr"] = {"$lte": ["$lease.until", "$$NOW"]}
    if task["attempt"] >= task["max_attempts"]:
        return _fail(match, task["job"], failure, task["attempt"], lease["worker"])
    update = {
        **released(),
        "run_at": "$$NOW",
        "deaths": {"$add": [{"$ifNull": ["$deaths", 0]}, 1]},
        "errors": with_error(failure, by(task["attempt"], lease["worker"])),
    }
    return Change(guard=Write("tasks", match, [{"$set": update}]))


def expire(job: str, task: str | None, failure: Failure) -> Change:
    """A job whose deadline has passed by the server's clock → `failed`, with its open `task`.

    Without a task it is one that was not admitted yet. A holder of the task finds its compare-and-set
    refused, and stops.
    """
    overdue = {
        "_id": job,
        "state": "submitted" if task is None else "running",
        "$expr": {"$lte": ["$deadline", "$$NOW"]},
        "deadline": {"$type": "date"},
    }
    stage = None if task is None else stage_of(task)
    guard = Write("jobs", overdue, [{"$set": failed_job(failure, stage)}])
    if task is None:
        return Change(guard=guard)
    update = {
        **ended("failed"),
        "errors": with_error(failure, {"attempt": "$attempt", "worker": "$lease.worker"}),
    }
    return Change(
        guard=guard,
        then=(Write("tasks", {"_id": task, "state": {"$in": list(OPEN_TASK)}}, [{"$set": update}]),),
    )


def reject(job: str, failure: Failure, *, late: bool = False) -> Change:
    """`submitted` → `failed`, for a job that can't be admitted.

    With `late` the time by which some worker must know its pipeline must be over by the server's clock.
    """
    match: dict[str, Any] = {"_id": job, "state": "submitted"}
    if late:
        match |= {"admit_by": {"$type": "date"}, "$expr": {"$lte": ["$admit_by", "$$NOW"]}}
    return Change(guard=Write("jobs", match, [{"$set": failed_job(failure, None)}]))


def checkpoint(task: Task, key: str, value: Any, progress: Progress | None, lease_for: timedelta) -> Change:
    """Save a part. It writes the task, so that a lost lease fails it, and renews the lease with it."""
    update: dict[str, Any] = {"lease.until": after(lease_for)}
    if progress is not None:
        update["progress"] = literal(asdict(progress))
    saved = {
        "_id": f"{task.id}/{key}",
        "task": task.id,
        "job": task.job,
        "fence": task.lease.fence,
        "key": key,
        "value": value,
    }
    return Change(
        guard=Write("tasks", held(task.id, task.lease), [{"$set": update}]), creates=(("checkpoints", saved),)
    )


_UNCHARGED: Json = {"attempt": {"$subtract": ["$attempt", 1]}}


def _started(fields: Json, pipeline: Pipeline) -> Update:
    """Begin a job, with its pipeline's time limit unless it came with an earlier deadline of its own."""
    if pipeline.timeout is None:
        return at_once(fields, "started_at")
    milliseconds = int(pipeline.timeout / timedelta(milliseconds=1))
    limit = {"$add": ["$$NOW", milliseconds]}
    # $min ignores a deadline that is missing.
    limited = {"started_at": "$$NOW", "time_limit": milliseconds, "deadline": {"$min": ["$deadline", limit]}}
    return [{"$set": {**{name: literal(value) for name, value in fields.items()}, **limited}}]


_TASK_SUCCEEDED = at_once({**released(), "state": "succeeded"}, "finished_at")


_JOB_SUCCEEDED = at_once({"state": "succeeded"}, "finished_at")


def _fail(match: Json, job: str, failure: Failure, attempt: int, worker: str) -> Change:
    stage = stage_of(match["_id"])
    update = {**ended("failed"), "errors": with_error(failure, by(attempt, worker))}
    return Change(
        guard=Write("tasks", match, [{"$set": update}]),
        then=(Write("jobs", {"_id": job, "state": "running"}, [{"$set": failed_job(failure, stage)}]),),
        ends_job=True,
    )
