"""Changes of states that the engine never leaves behind: only hands or bugs do. Pure, as `transitions`.

Each is guarded by the job as it was read. Whatever starts or ends a job's work writes the job, so that a
repair which comes too late, or twice, matches nothing.
"""

from collections.abc import Sequence

from pipeline.decisions import cancel_task
from pipeline.model import Change, Failure, Write, queue_name
from pipeline.new_task import rerun_task
from pipeline.updates import AFRESH, OPEN_TASK, Json, failed_job, finished, literal


def resubmit(job: Json) -> Change:
    """`running` → `submitted`, for a job without any task: admission takes it again."""
    afresh = {**AFRESH, "started_at": None, "promoted": "$$REMOVE"}
    return Change(guard=_as_read(job, {"state": "submitted", **afresh}))


def readmit(job: Json, version: int, stages: Sequence[str]) -> Change:
    """`submitted` → `running`, for a job that has tasks of this version of its pipeline."""
    admitted = {"pipeline_version": version, "stages": literal(list(stages))}
    return Change(guard=_as_read(job, {**admitted, "state": "running", "started_at": "$$NOW"}))


def conclude(job: Json, last: Json) -> Change:
    """`running` → the final state of the last task that it has."""
    if last["state"] != "failed":
        return Change(guard=_as_read(job, finished(last["state"])))
    error = (last["errors"] or [{"type": "Unknown", "message": "why its task failed was not recorded"}])[-1]
    failure = Failure(error["type"], error["message"], error.get("part"))
    return Change(guard=_as_read(job, failed_job(failure, last["stage"])))


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
