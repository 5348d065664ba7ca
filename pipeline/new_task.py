"""Tasks as they are created: by admission, by the stage before, or by a stage that is run again."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from pipeline.model import Again, Hold, Submitted, Task, queue_name, stage_queue, task_id
from pipeline.stage import Pipeline, Stage
from pipeline.updates import Json
from pipeline.value import value


@value
class Given:
    """What a new task works on: a hash, the output that has it (None: the document), earlier outputs."""

    sha256: str
    size: int
    """Bytes."""
    output: str | None = None
    inputs: Mapping[str, int] = field(default_factory=dict)


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


def new_task(
    job: Submitted | Task,
    pipeline: Pipeline,
    stage: Stage,
    revision: int,
    given: Given,
    hold: Hold | None,
) -> dict[str, Any]:
    """Return the task of a stage in a job, or in that of the task before; with `hold` as it is claimed."""
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


def _limited(job: Submitted | Task, stage: Stage, given: Given) -> Json:
    """Return the key by which a task is limited, what it costs and calls, if its stage has them."""
    limited: dict[str, Any] = {}
    params = job.params.get(stage.name) or {}
    if stage.key is not None:
        limited["key"] = stage.key_of(job.tenant, params)
    if (service := stage.service_of(job.tenant, params)) is not None:
        limited["service"] = service
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
        **{name: earlier[name] for name in ("key", "cost", "service") if name in earlier},
    }


def again_record(again: Again) -> Json:
    """Return what a task says of how its revision was begun."""
    given = {} if again.params is None else {"params": dict(again.params)}
    return {"anew": again.anew, **given}
