"""What people are shown of a job: the shape of REST, of the command line and of `Client`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

from pipeline.model import BatchState, JobState, TaskState

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

StageState = TaskState | Literal["waiting", "skipped"]
"""A task's state; `waiting` while the stages before it have not got that far; `skipped` by its job."""


class ProgressView(BaseModel):
    """How far a stage is."""

    done: int
    total: int | None
    unit: str
    note: str | None = None
    """What else is to be seen, such as `1,204 tokens so far`."""


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
    reused_from: int | None = None
    """The earlier revision of which it took the output over; it did not run."""


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
    batch: str | None
    """The batch that it belongs to."""
    run_at: datetime | None
    deadline: datetime | None
    """A job that has not ended by then fails."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    discarded_at: datetime | None
    """When somebody gave up a job that had failed."""
    error: ErrorView | None
    revision: int
    """Of its newest run; 1 until it is run again."""
    promoted: int | None
    """The revision whose outputs are its result, where somebody chose; else the newest that has succeeded."""
    stages: list[StageView]


class ScheduleView(BaseModel):
    """What is due again and again."""

    name: str
    cron: str
    time_zone: str
    missed: str
    """Of ticks that nobody was there to fire: `latest` fires one, `all` fires each, `skip` none."""
    paused: bool
    pipeline: str | None
    document: DocumentView | None
    task: str | None
    """A built-in one; or, without it, a job is submitted for the document."""
    next_at: datetime | None
    fired: int
    """How many ticks."""
    last: dict[str, Any] | None
    """The last tick: `tick`, `at`, and its `job`; or of a task `finished_at` and what it has `done`."""
    error: str | None
    """Why it was paused, when it can't be understood."""
    created_at: datetime


def schedule_view(schedule: Mapping[str, Any]) -> ScheduleView:
    """Make a schedule's view of what is stored."""
    job = schedule.get("job")
    document = job and DocumentView(**{key: job["document"][key] for key in DocumentView.model_fields})
    return ScheduleView(
        **{key: schedule[key] for key in ("name", "cron", "time_zone", "missed", "paused", "created_at")},
        **{key: schedule.get(key) for key in ("task", "next_at", "last", "error")},
        pipeline=job and job["pipeline"],
        document=document,
        fired=schedule.get("fired", 0),
    )


class BatchCounts(BaseModel):
    """How many jobs of a batch are in each state."""

    submitted: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class ReprocessView(BaseModel):
    """How far a batch is that runs ended jobs again."""

    stage: str | None
    params: dict[str, list[str]]
    """The names of those that are other, by stage."""
    which: dict[str, Any]
    force: bool
    hold: bool
    begun: int
    """Jobs that run again, or did."""
    unchanged: int
    """Jobs that would give the same, and were left as they are."""
    refused: int
    examples: list[dict[str, str]]
    """Some of those that could not run again, and why."""
    done: bool
    """Every job was looked at."""


class BatchView(BaseModel):
    """Many jobs as one."""

    id: str
    state: BatchState
    """`running`, then `succeeded` when all jobs have, `failed` when one has, else `cancelled`."""
    name: str | None
    metadata: dict[str, Any]
    total: int | None
    """How many jobs it will have; None until that was said, or the batch closed."""
    jobs: BatchCounts
    """As they are; once the batch has ended, as they were then."""
    cancelled: bool
    """Somebody asked for that."""
    reprocess: ReprocessView | None
    """Of a batch that runs ended jobs again."""
    created_at: datetime
    finished_at: datetime | None


def batch_view(batch: Mapping[str, Any], counts: Mapping[str, int]) -> BatchView:
    """Make a batch's view of what is stored; `counts` are its jobs by state."""
    total = batch.get("total")
    return BatchView(
        id=batch["_id"],
        state=batch["state"],
        name=batch.get("name"),
        metadata=batch.get("metadata", {}),
        total=None if total is None else int(total),
        jobs=BatchCounts(**(batch.get("counts") or counts)),
        cancelled=batch.get("cancelled", False),
        reprocess=_reprocess_view(batch.get("reprocess")),
        created_at=batch["created_at"],
        finished_at=batch.get("finished_at"),
    )


def _reprocess_view(stored: Mapping[str, Any] | None) -> ReprocessView | None:
    if stored is None:
        return None
    request = stored["request"]
    # Values may be secrets, such as a document's password.
    names = {stage: sorted(values) for stage, values in request["params"].items()}
    shown = {name: request[name] for name in ("stage", "which", "force", "hold")}
    counts = {name: stored[name] for name in ("begun", "unchanged", "refused", "examples", "done")}
    return ReprocessView(params=names, **shown, **counts)


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
        batch=job.get("batch"),
        run_at=job.get("run_at"),
        deadline=job.get("deadline"),
        created_at=job["created_at"],
        started_at=job.get("started_at"),
        finished_at=job.get("finished_at"),
        discarded_at=job.get("discarded_at"),
        error=job.get("error"),
        revision=job.get("revision") or 1,
        promoted=job.get("promoted"),
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
    shown = ("state", "attempt", "max_attempts", "progress", "started_at", "finished_at", "reused_from")
    picked = {name: fields[name] for name in shown if name in fields}
    if fields.get("errors"):
        last = fields["errors"][-1]
        picked["error"] = {name: last.get(name) for name in ErrorView.model_fields}
    return picked
