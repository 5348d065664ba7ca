"""The values that pass between the engine's parts, all frozen, and how ids are made.

Ids say what they are, so that a change event can be attributed without reading its document: a job's
is ``{tenant}.{32 hex digits}``, a task's ``{job}:{stage}:{revision}``. They are deterministic from
the job on, which is why a stage cannot be emitted twice.
"""

import itertools
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal

from pipeline.limit import Account
from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.value import value

QUIET = "quiet-"
"""Begins the stamps of what workers are not told of; all others are hexadecimal."""

_PROCESS, _number = secrets.token_hex(10), itertools.count()
"""What makes the ids of this process's changes unique, cheaply."""

JobState = Literal["submitted", "running", "succeeded", "failed", "cancelled"]
BatchState = Literal["running", "succeeded", "failed", "cancelled"]
TaskState = Literal["ready", "running", "succeeded", "failed", "cancelled"]
Anew = Literal["first", "changed", "all"]
"""What of a later revision runs, and does not take an earlier output of the same input and recipe: its first
stage and what differs, what differs alone, or all."""

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})
DEFAULT_TENANT = "default"
PRIORITY_RANGE = (-10, 10)
"""Lowest and highest priority of a job; higher ones are claimed first."""

SERVICE = "service:"
"""What the subject of an outside service begins with."""

TENANT_PATTERN = r"[a-z0-9][a-z0-9-]{0,62}"
JOB_ID_PATTERN = rf"{TENANT_PATTERN}\.[A-Za-z0-9_-]{{16,64}}"
_JOB_ID = re.compile(JOB_ID_PATTERN)


def new_job_id(tenant: str = DEFAULT_TENANT) -> str:
    """Make a job id: 48 bits of the time in milliseconds, so that ids sort by age, and 80 random ones."""
    return f"{tenant}.{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def is_job_id(text: str) -> bool:
    """Tell whether `text` can be a job's id."""
    return _JOB_ID.fullmatch(text) is not None


def task_id(job: str, stage: str, revision: int) -> str:
    """Return the id of a job's stage."""
    return f"{job}:{stage}:{revision}"


def ids_of_job(job: str) -> dict[str, str]:
    """Return the range of the ids of everything that belongs to a job: they begin with its own."""
    return {"$gt": f"{job}:", "$lt": f"{job};"}  # ";" follows ":"


def of_jobs(jobs: Iterable[str]) -> dict[str, Any]:
    """Return the filter of everything that belongs to one of these jobs.

    A range of ids each: for regular expressions of how ids begin the server reads the whole index.
    """
    ranges = [{"_id": ids_of_job(job)} for job in jobs]
    return {"$or": ranges} if ranges else {"_id": {"$in": []}}


def ids_of_tenant(tenant: str) -> dict[str, str]:
    """Return the range of the ids of a tenant's jobs."""
    return {"$gt": f"{tenant}.", "$lt": f"{tenant}/"}  # "/" follows "."


def job_of(task: str) -> str:
    """Return the job's id in a task's."""
    return task.split(":", 1)[0]


def stage_of(task: str) -> str:
    """Return the stage's name in a task's id."""
    return task.split(":")[1]


def revision_of(task: str) -> int:
    """Return the revision in a task's id."""
    return int(task.split(":")[2])


def tenant_of(job: str) -> str:
    """Return the tenant in a job's or a task's id."""
    return job.split(".", 1)[0]


def queue_name(pipeline: str, version: int, stage: str) -> str:
    """Return the key by which workers claim: the same stage of another version is other work."""
    return f"{pipeline}@{version}/{stage}"


def stages_at_work(job: Mapping[str, Any]) -> list[str]:
    """Return the stages of an admitted job that it doesn't skip, in order; none before its admission."""
    skip = job.get("skip") or ()
    return [name for name in job.get("stages") or () if name not in skip]


def pipeline_of(queue: str) -> str:
    """Return the pipeline's name in the key by which workers claim."""
    return queue.split("@", 1)[0]


def subject_of(queue: str) -> str:
    """Return what operators call the stage that is claimed by this key, whatever its version."""
    return f"stage:{pipeline_of(queue)}/{stage_queue(queue).rsplit('/', 1)[1]}"


def pond_name(queue: str, subject: str) -> str:
    """Return the key of the pond that tasks are in which this subject has held back."""
    return f"{stage_queue(queue)}#{subject}"


def stage_queue(queue: str) -> str:
    """Return the key by which a task is claimed that nothing holds back."""
    return queue.split("#", 1)[0]


def version_of(queue: str) -> int:
    """Return the pipeline's version in the key by which workers claim."""
    return int(queue.split("@", 1)[1].split("/", 1)[0])


@value
class Lease:
    """The time-limited right to run a task."""

    claim_id: str
    fence: int
    worker: str
    asked_at: float = field(default_factory=time.monotonic, compare=False)
    """When this process sent its claim, by its monotonic clock: the lease lasts from then on at least."""


@value
class Hold:
    """A claim that comes with the task's creation: its worker goes on with the job at once."""

    worker: str
    claim_id: str
    now: datetime
    """The server's time, as this process knows it."""
    until: datetime
    asked_at: float = field(default_factory=time.monotonic, compare=False)


@value
class DocumentReference:
    """Where a job's document is: in GridFS, or inline in the job when it is small."""

    name: str
    media_type: str
    size: int
    sha256: str
    file_id: Any = None
    inline: bytes | None = None


@value
class Submitted:
    """What admission needs to know of a job."""

    id: str
    tenant: str
    pipeline: str
    priority: int
    run_at: datetime | None
    traceparent: str | None
    document_sha256: str
    document_size: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    """Stages that this job leaves out."""


@value
class Input:
    """What a task works on."""

    sha256: str
    """Of the document, or of the output of the stage before."""
    body: Mapping[str, Any] | None = None
    """That output, when it is small enough to have been read with the claim."""


@value
class Again:
    """How a job is run again; of tasks of later revisions than the first."""

    anew: Anew
    params: Mapping[str, Any] | None = None
    """Of the whole job, by stage, instead of those that it was submitted with; None: these."""


@value
class Task:
    """A claimed task, with what its attempt needs of the job."""

    id: str
    job: str
    tenant: str
    pipeline: str
    pipeline_version: int
    stage: str
    revision: int
    priority: int
    attempt: int
    max_attempts: int
    lease: Lease
    traceparent: str | None
    document: DocumentReference
    params: Mapping[str, Any]
    """Of the whole job, by stage."""
    inputs: Mapping[str, int]
    """Revision of every earlier stage's output that this task may read, by stage."""
    input: Input
    as_of: Any = None
    """Operation time of the claim: what the attempt reads must not be older, see `driver.reading`."""
    fresh: bool = False
    """Nobody has run it before: it has no checkpoints."""
    batch: str | None = None
    """Of the job."""
    skip: frozenset[str] = frozenset()
    """Stages that its job leaves out."""
    alone: bool = False
    """This is its last attempt, and an earlier one died with its worker: nothing else may run beside it."""
    reserved: Mapping[Account, int] = field(default_factory=dict)
    """What its claim has taken of rates."""

    @property
    def subject(self) -> str:
        """What operators call its stage."""
        return f"stage:{self.pipeline}/{self.stage}"

    again: Again | None = None
    """How its revision was begun; None of the first one."""

    @property
    def may_reuse(self) -> bool:
        """Tell whether an earlier output of the same input and recipe is as good as a new one."""
        if self.again is None or self.again.anew == "all":
            return False
        return self.again.anew == "changed" or self.revision in self.inputs.values()


@value
class Failure:
    """Why an attempt failed, as it is stored with the task and shown to people."""

    type: str
    message: str
    part: str | None = None
    """The part of the work that failed, such as ``page 3``."""
    trace: str | None = None


@value
class StageOutput:
    """What a stage wrote, ready to be stored."""

    body: Mapping[str, Any]
    sha256: str
    size: int
    """Bytes of the body as canonical JSON."""
    input_sha256: str
    recipe: Recipe
    file_id: Any = None
    """Set when the body was too large for a document and lies in GridFS."""
    reused_from: int | None = None
    """The earlier revision that wrote it, when the stage did not run."""


@value
class Succeeded:
    """Outcome: the stage returned."""

    output: StageOutput
    progress: Progress | None
    """The last that it told, brought to its total."""


@value
class Failed:
    """Outcome: the stage failed; `retry_in` is None when trying again cannot help."""

    failure: Failure
    retry_in: timedelta | None


@value
class Away:
    """That an outside service is away, as an attempt has found."""

    service: str
    why: str
    retry_after: timedelta | None
    """The pause that it asked for."""


@value
class Snoozed:
    """Outcome: the stage asked to be called again in `delay`; the attempt isn't charged."""

    delay: timedelta
    why: str
    away: Away | None = None
    """Why it did, if that isn't known yet."""
    budget: str | None = None
    """The subject whose budget for the day is used up."""
    service: str | None = None
    """What is away, if the other tasks of its stage may call others."""
    seen: Mapping[str, Any] = field(default_factory=dict)
    """The budgets that were looked up then, in their versions."""


@value
class Interrupted:
    """Outcome: the worker stopped; the attempt isn't charged."""


@value
class Lost:
    """Outcome: the lease is gone; nothing of this attempt may be written."""


Outcome = Succeeded | Failed | Snoozed | Interrupted | Lost


Update = Mapping[str, Any] | list[Mapping[str, Any]]
"""Operators with `$set` among them, or an aggregation pipeline, in which values stand in `$literal`."""


@value
class Write:
    """An update of one document which must match, or the whole change fails."""

    collection: str
    filter: Mapping[str, Any]
    update: Update


@value
class Change:
    """Writes that happen together or not at all: a transition.

    The guard is a compare-and-set on the document whose state changes. It stamps `id` on it, so
    that a commit whose answer was lost can be told from one that never happened.
    """

    guard: Write
    then: tuple[Write, ...] = ()
    creates: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Documents that must not exist yet; `run_at` None or absent in a task means the server's now."""
    ends_job: bool = False
    quiet: bool = False
    """Nobody else needs to hear of it: no worker is told."""
    id: str = field(default_factory=lambda: f"{_PROCESS}{next(_number):08x}")
