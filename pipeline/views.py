"""What people are shown of a job: the shape of REST, of the command line and of `Client`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

from pipeline.model import JobState, TaskState

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

StageState = TaskState | Literal["waiting", "skipped"]
"""A task's state; `waiting` while the stages before it have not got that far; `skipped` by its job."""


class ProgressView(BaseModel):
    """How far a stage is."""

    done: int
    total: int | None
    unit: str


class ErrorView(BaseModel):
    """Why a stage's attempt, or a job, failed."""

    type: str
    message: str
    part: str | None = None
    """Such as `page 3`."""
    stage: str | None = None
    attempt: int | None = None
    at: datetime | None = None


class AttemptView(ErrorView):
    """An attempt that failed."""

    worker: str | None = None
    trace: str | None = None
    """The end of its traceback."""


class StageView(BaseModel):
    """One stage of a job."""

    name: str
    state: StageState = "waiting"
    attempt: int = 0
    max_attempts: int | None = None
    progress: ProgressView | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: ErrorView | None = None
    """Of its last failed attempt, whatever came after."""


class DocumentView(BaseModel):
    """A submitted document."""

    name: str
    type: str
    size: int
    sha256: str


class JobView(BaseModel):
    """One document's trip through one pipeline."""

    id: str
    state: JobState
    pipeline: str
    pipeline_version: int | None
    document: DocumentView
    priority: int
    metadata: dict[str, Any]
    run_at: datetime | None
    deadline: datetime | None
    """A job that has not ended by then fails."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    discarded_at: datetime | None
    """When somebody gave up a job that had failed."""
    error: ErrorView | None
    stages: list[StageView]


def job_view(job: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]], names: Sequence[str]) -> JobView:
    """Make a job's view of what is stored.

    `tasks` come in the order of their revisions; `names` are the stages of a job that is not admitted yet.
    """
    latest = {task["stage"]: task for task in tasks}
    stages: list[StageView] = []
    revision = 1
    for name in job.get("stages", names):
        if name in job.get("skip", ()):
            stages.append(StageView(name=name, state="skipped"))
            continue
        task = latest.get(name, {"revision": 0})
        # What a stage did before an earlier one was run again is not this trip's.
        stages.append(StageView(name=name) if task["revision"] < revision else stage_view(task))
        revision = max(revision, task["revision"])
    document = job["document"]
    return JobView(
        id=job["_id"],
        state=job["state"],
        pipeline=job["pipeline"],
        pipeline_version=job.get("pipeline_version"),
        document=DocumentView(**{key: document[key] for key in DocumentView.model_fields}),
        priority=job.get("priority", 0),
        metadata=job.get("metadata", {}),
        run_at=job.get("run_at"),
        deadline=job.get("deadline"),
        created_at=job["created_at"],
        started_at=job.get("started_at"),
        finished_at=job.get("finished_at"),
        discarded_at=job.get("discarded_at"),
        error=job.get("error"),
        stages=stages,
    )


def stage_view(task: Mapping[str, Any]) -> StageView:
    """Make a stage's view of its task."""
    return StageView(name=task["stage"], **stage_fields(task))


def attempt_views(tasks: Iterable[Mapping[str, Any]]) -> list[AttemptView]:
    """Return the failed attempts of tasks, the newest 20 of each, oldest first."""
    found = [AttemptView(stage=task["stage"], **error) for task in tasks for error in task["errors"]]
    return sorted(found, key=lambda attempt: attempt.at or _LONG_AGO)


def stage_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Pick, from a task or from what an event says has changed, what people are shown."""
    shown = ("state", "attempt", "max_attempts", "progress", "started_at", "finished_at")
    picked = {name: fields[name] for name in shown if name in fields}
    if fields.get("errors"):
        last = fields["errors"][-1]
        picked["error"] = {name: last.get(name) for name in ErrorView.model_fields}
    return picked
