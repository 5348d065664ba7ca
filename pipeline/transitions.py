"""The only place where a state changes: pure functions that return the `Change` to commit.

Each takes what it needs and nothing else, so that an illegal change cannot be spelled. Times are the
server's, as workers' clocks may be wrong. What happens to every job is an update by operators
(`$currentDate`), which costs the server half of an update pipeline. Where a value depends on others, it is
a pipeline (`$$NOW`); there whatever comes from outside is a `$literal`, as pipelines read strings that
begin with a dollar sign as field paths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.context import Document, Progress
from pipeline.model import (
    Again,
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
    queue_name,
    stage_of,
    stage_queue,
    task_id,
)
from pipeline.stage import Pipeline, Stage

OPEN_JOB, OPEN_TASK = ("submitted", "running"), ("ready", "running")
"""States that are not final."""

LONGEST_DELAY = timedelta(days=366)

MAX_ERRORS = 20
"""Attempts whose errors a task keeps; the newest ones stay."""

Json = Mapping[str, Any]


def literal(value: Any) -> Json:
    """Protect a value from being read as an expression."""
    return {"$literal": value}


def after(delay: timedelta) -> Json:
    """Return the server's time in `delay`, at most a year: a date must stay one that all drivers can read."""
    return {"$add": ["$$NOW", int(min(delay, LONGEST_DELAY) / timedelta(milliseconds=1))]}


def held(task: str, lease: Lease) -> Json:
    """Return the filter that only the holder of this lease matches."""
    return {"_id": task, "state": "running", "lease.claim_id": lease.claim_id, "lease.fence": lease.fence}


def admit(
    job: Submitted,
    pipeline: Pipeline,
    traceparent: str | None,
    hold: Hold | None = None,
    blocker: str | None = None,
) -> Change:
    """`submitted` → `running`, and the first stage's task; the trace goes with both.

    With `hold` the task is created as claimed, and begins at once; with `blocker` in that subject's pond.
    `pipeline` is without what the job skips.
    """
    job = replace(job, traceparent=traceparent)
    started = {
        "state": "running",
        "pipeline_version": pipeline.version,
        "stages": list(pipeline.names),
        "traceparent": traceparent,
    }
    first = _new_task(
        job, pipeline, pipeline.stages[0], 1, _Given(job.document_sha256, job.document_size), hold
    )
    if blocker is not None:
        first["queue"] = pond_name(first["queue"], blocker)
    return Change(
        guard=Write("jobs", {"_id": job.id, "state": "submitted"}, _started(started, pipeline)),
        creates=(("tasks", first),),
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
        ended = _at_once({**ended["$set"], "progress": asdict(result.progress)}, "finished_at")
    elif output.reused_from is not None:
        ended = _at_once({**ended["$set"], "reused_from": output.reused_from}, "finished_at")
    guard = Write("tasks", held(task.id, task.lease), ended)
    following = pipeline.after(task.stage)
    if following is None:
        end = Write("jobs", {"_id": task.job, "state": "running"}, _JOB_SUCCEEDED)
        return Change(guard=guard, then=(end,), creates=(("outputs", record),), ends_job=True)
    inputs = {**task.inputs, task.stage: task.revision}
    if following.input is Document:
        given = _Given(task.document.sha256, task.document.size, None, inputs)
    else:
        given = _Given(output.sha256, output.size, task.id, inputs)
    next_task = _new_task(task, pipeline, following, task.revision, given, hold)
    return Change(guard=guard, creates=(("outputs", record), ("tasks", next_task)))


def fail(task: Task, failure: Failure) -> Change:
    """`running` → `failed`, and the job with it."""
    return _fail(held(task.id, task.lease), task.job, failure, task.attempt, task.lease.worker)


def retry(task: Task, failure: Failure, delay: timedelta) -> Change:
    """`running` → `ready` in `delay`; the attempt stays charged."""
    update = {
        **_delayed(delay),
        "errors": _with_error(failure, _by(task.attempt, task.lease.worker)),
    }
    return Change(guard=Write("tasks", held(task.id, task.lease), [{"$set": update}]))


def interrupt(task: Task) -> Change:
    """`running` → `ready` at once, as if the attempt had not been."""
    update = {**_released(), **_UNCHARGED, "run_at": "$$NOW"}
    return Change(guard=Write("tasks", held(task.id, task.lease), [{"$set": update}]))


def snooze(task: Task, delay: timedelta, why: str, budget: str | None = None) -> Change:
    """`running` → `ready` in `delay`, as if the attempt had not been; the reason is kept.

    With `budget`, the subject whose budget is spent, it may be hastened.
    """
    times = {"$add": [{"$ifNull": ["$snoozed.times", 0]}, 1]}
    update = {
        **_delayed(delay),
        **_UNCHARGED,
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
        **_released(),
        "run_at": "$$NOW",
        "deaths": {"$add": [{"$ifNull": ["$deaths", 0]}, 1]},
        "errors": _with_error(failure, _by(task["attempt"], lease["worker"])),
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
    guard = Write("jobs", overdue, [{"$set": _failed_job(failure, stage)}])
    if task is None:
        return Change(guard=guard)
    update = {
        **_ended("failed"),
        "errors": _with_error(failure, {"attempt": "$attempt", "worker": "$lease.worker"}),
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
    return Change(guard=Write("jobs", match, [{"$set": _failed_job(failure, None)}]))


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


def cancel_job() -> Json:
    """Return the update of a job that is cancelled; its filter excludes the final states."""
    return {"$set": _finished("cancelled")}


def cancel_task() -> Json:
    """Return the update of the task of a job that is cancelled."""
    return {"$set": _ended("cancelled")}


def end_batch(counts: Mapping[str, int], *, cancelled: bool) -> Json:
    """Return the update of a batch whose jobs have all ended, so many in each state.

    Failed when one has failed; else cancelled when it was, or one of them.
    """
    if counts.get("failed"):
        state = "failed"
    else:
        state = "cancelled" if cancelled or counts.get("cancelled") else "succeeded"
    return {"$set": {**_finished(state), "counts": literal(dict(counts))}}


def reopen_job(revision: int | None = None, **others: Any) -> Json:
    """Return the update of an ended job of which a stage is run again, under a new revision when given.

    A deadline that was given with the job is over; the pipeline's own time limit begins afresh. `others` are
    fields to set besides, such as a batch that it belongs to now.
    """
    limit = {"$cond": [{"$gt": ["$time_limit", 0]}, {"$add": ["$$NOW", "$time_limit"]}, None]}
    set_too = {name: literal(value) for name, value in others.items()}
    update: dict[str, Any] = {"state": "running", **_AFRESH, "deadline": limit, **set_too}
    return {"$set": update if revision is None else {**update, "revision": revision}}


def resubmit_job() -> Json:
    """`failed` → `submitted`, for a job that was never admitted; a deadline that it came with is over."""
    return {"$set": {"state": "submitted", **_AFRESH, "deadline": None}}


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
    return {"$set": {**_released(), "run_at": "$$NOW", "attempt": 0, "deaths": 0, "finished_at": None}}


def again_record(again: Again) -> Json:
    """Return what a task says of how its revision was begun."""
    given = {} if again.params is None else {"params": dict(again.params)}
    return {"anew": again.anew, **given}


def rerun_task(
    earlier: Json, revision: int, inputs: Mapping[str, int], given: Json, again: Json | None
) -> dict[str, Any]:
    """Return the task that runs a stage again under a new revision, made of the stage's earlier task.

    `inputs` are the revisions of earlier outputs, `given` what it works on: `{sha256, output}`, `again` how
    the revision is begun.
    """
    kept = ("job", "tenant", "pipeline", "pipeline_version", "stage", "priority", "max_attempts")
    return {
        **{name: earlier[name] for name in kept},
        "queue": stage_queue(earlier["queue"]),
        "_id": task_id(earlier["job"], earlier["stage"], revision),
        "revision": revision,
        "inputs": dict(inputs),
        "input": dict(given),
        "traceparent": earlier.get("traceparent"),
        **({"skip": earlier["skip"]} if earlier.get("skip") else {}),
        **({} if again is None else {"again": again}),
        **_FRESH,
        **{name: earlier[name] for name in ("key", "cost") if name in earlier},
    }


@dataclass(frozen=True, slots=True)
class _Given:
    """What a new task works on: a hash, the output that has it (None: the document), earlier outputs."""

    sha256: str
    size: int
    """Bytes."""
    output: str | None = None
    inputs: Mapping[str, int] = field(default_factory=dict)


def _new_task(
    job: Submitted | Task,
    pipeline: Pipeline,
    stage: Stage,
    revision: int,
    given: _Given,
    hold: Hold | None,
) -> dict[str, Any]:
    run_at = job.run_at if isinstance(job, Submitted) else None
    job_id = job.id if isinstance(job, Submitted) else job.job
    return {
        "_id": task_id(job_id, stage.name, revision),
        "job": job_id,
        "tenant": job.tenant,
        "pipeline": pipeline.name,
        "pipeline_version": pipeline.version,
        "stage": stage.name,
        "queue": queue_name(pipeline.name, pipeline.version, stage.name),
        "revision": revision,
        "inputs": dict(given.inputs),
        "input": {"sha256": given.sha256, "output": given.output},
        "priority": job.priority,
        "max_attempts": stage.retry.max_attempts,
        "traceparent": job.traceparent,
        **({"skip": sorted(pipeline.skipped)} if pipeline.skipped else {}),
        **({"again": again_record(job.again)} if isinstance(job, Task) and job.again else {}),
        **_FRESH,
        **_begun(run_at, hold),
        **_limited(job, stage, given),
    }


def _limited(job: Submitted | Task, stage: Stage, given: _Given) -> Json:
    """Return the key by which a task is limited, and what it costs, if its stage has them."""
    limited: dict[str, Any] = {}
    if stage.key is not None:
        limited["key"] = stage.key_of(job.tenant, job.params.get(stage.name) or {})
    if stage.costs:
        limited["cost"] = {each.unit: each.of(given.size) for each in stage.costs}
    return limited


def _begun(run_at: datetime | None, hold: Hold | None) -> Json:
    """Return how a new task begins: held, delayed, or ready at once."""
    if hold is not None:
        return {
            "state": "running",
            "created_at": hold.now,
            "run_at": hold.now,
            "started_at": hold.now,
            "attempt": 1,
            "lease": {"claim_id": hold.claim_id, "fence": 1, "worker": hold.worker, "until": hold.until},
        }
    return {} if run_at is None else {"run_at": run_at, "lease": {**_NOBODY, "until": run_at}}


_NOBODY: Json = {"claim_id": None, "fence": 0, "worker": None, "until": None}

_FRESH: Json = {
    "state": "ready",
    "run_at": None,
    "attempt": 0,
    "deaths": 0,
    "lease": _NOBODY,
    "progress": None,
    "errors": [],
}
"""What every new task begins with; it runs as soon as the server has it."""

_AFRESH: Json = {
    "error": None,
    "finished_at": None,
    "discarded_at": "$$REMOVE",
    "admit_by": "$$REMOVE",
}
"""What an ended job has that goes on, and one for which admission begins once more."""

_UNCHARGED: Json = {"attempt": {"$subtract": ["$attempt", 1]}}


def _started(fields: Json, pipeline: Pipeline) -> Update:
    """Begin a job, with its pipeline's time limit unless it came with an earlier deadline of its own."""
    if pipeline.timeout is None:
        return _at_once(fields, "started_at")
    milliseconds = int(pipeline.timeout / timedelta(milliseconds=1))
    limit = {"$add": ["$$NOW", milliseconds]}
    # $min ignores a deadline that is missing.
    limited = {"started_at": "$$NOW", "time_limit": milliseconds, "deadline": {"$min": ["$deadline", limit]}}
    return [{"$set": {**{name: literal(value) for name, value in fields.items()}, **limited}}]


def _at_once(fields: Json, *dates: str) -> Json:
    """Set fields, and these to the server's time."""
    return {"$set": fields, "$currentDate": dict.fromkeys(dates, True)}


def _released() -> dict[str, Any]:
    return {"state": "ready", "lease.claim_id": None, "lease.worker": None, "lease.until": None}


_TASK_SUCCEEDED = _at_once({**_released(), "state": "succeeded"}, "finished_at")
_JOB_SUCCEEDED = _at_once({"state": "succeeded"}, "finished_at")


def _delayed(delay: timedelta) -> dict[str, Any]:
    """Release a task for later: until it is due, nobody has its lease."""
    return {**_released(), "run_at": after(delay), "lease.until": after(delay)}


def _ended(state: str) -> dict[str, Any]:
    return {**_released(), "state": state, "finished_at": "$$NOW"}


def _finished(state: str) -> dict[str, Any]:
    return {"state": state, "finished_at": "$$NOW"}


def _failed_job(failure: Failure, stage: str | None) -> dict[str, Any]:
    error = {"type": failure.type, "message": failure.message, "part": failure.part, "stage": stage}
    return {**_finished("failed"), "error": literal(error)}


def _fail(match: Json, job: str, failure: Failure, attempt: int, worker: str) -> Change:
    stage = stage_of(match["_id"])
    update = {**_ended("failed"), "errors": _with_error(failure, _by(attempt, worker))}
    return Change(
        guard=Write("tasks", match, [{"$set": update}]),
        then=(Write("jobs", {"_id": job, "state": "running"}, [{"$set": _failed_job(failure, stage)}]),),
        ends_job=True,
    )


def _with_error(failure: Failure, by: Json) -> Json:
    """Append a failure to a task's errors; `by` are expressions of its attempt and worker."""
    record = {"$mergeObjects": [literal(asdict(failure)), {**by, "at": "$$NOW"}]}
    return {"$slice": [{"$concatArrays": ["$errors", [record]]}, -MAX_ERRORS]}


def _by(attempt: int, worker: str) -> Json:
    return {"attempt": attempt, "worker": literal(worker)}


# Repair: of states that the engine never leaves behind, only hands or bugs do. Each change is guarded by
# the job as it was read. Whatever starts or ends a job's work writes the job, so that a repair which
# comes too late, or twice, matches nothing.


def resubmit(job: Json) -> Change:
    """`running` → `submitted`, for a job without any task: admission takes it again."""
    afresh = {**_AFRESH, "started_at": None, "promoted": "$$REMOVE"}
    return Change(guard=_as_read(job, {"state": "submitted", **afresh}))


def readmit(job: Json, version: int, stages: Sequence[str]) -> Change:
    """`submitted` → `running`, for a job that has tasks of this version of its pipeline."""
    admitted = {"pipeline_version": version, "stages": literal(list(stages))}
    return Change(guard=_as_read(job, {**admitted, "state": "running", "started_at": "$$NOW"}))


def conclude(job: Json, last: Json) -> Change:
    """`running` → the final state of the last task that it has."""
    if last["state"] != "failed":
        return Change(guard=_as_read(job, _finished(last["state"])))
    error = (last["errors"] or [{"type": "Unknown", "message": "why its task failed was not recorded"}])[-1]
    failure = Failure(error["type"], error["message"], error.get("part"))
    return Change(guard=_as_read(job, _failed_job(failure, last["stage"])))


def extend(job: Json, done: Json, following: Json, given: Json) -> Change:
    """Emit the successor of a task that has succeeded; when there is one after all, nothing is written.

    `following` is the next stage as workers register it, `given` what it works on: `{sha256, output}`.
    """
    stage = following["name"]
    like = {
        **done,
        "stage": stage,
        "queue": queue_name(done["pipeline"], int(done["pipeline_version"]), stage),
        "max_attempts": following["max_attempts"],
    }
    inputs = {**done["inputs"], done["stage"]: done["revision"]}
    successor = rerun_task(like, done["revision"], inputs, given, done.get("again"))
    return Change(guard=_as_read(job, {}), creates=(("tasks", successor),))


def close(job: Json, tasks: Sequence[Json]) -> Change:
    """Cancel tasks that an ended job has left open; their holders find their compare-and-set refused."""
    return Change(
        guard=_as_read(job, {}),
        then=tuple(
            Write("tasks", {"_id": task["_id"], "state": {"$in": list(OPEN_TASK)}}, [cancel_task()])
            for task in tasks
        ),
    )


def _as_read(job: Json, update: Json) -> Write:
    """Update a job only as long as nothing has been written to it: every commit leaves its own stamp."""
    match = {name: job.get(name) for name in ("_id", "state", "revision", "commit")}
    return Write("jobs", match, [{"$set": update}] if update else [])
