"""The runs of a job, one for each revision: what they gave, and which of them is the job's result.

A run's outputs are its own and, of stages before its first, earlier ones. The result is the newest run that
has succeeded, or the one that somebody promoted.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from pipeline.errors import NotFound
from pipeline.model import JobState, stages_at_work

Json = Mapping[str, Any]


class RunView(BaseModel):
    """One revision of a job."""

    revision: int
    state: JobState
    stages: dict[str, int]
    """The revision whose output it has of each stage that is done, in order."""
    began_at: datetime
    finished_at: datetime | None
    result: bool
    """Its outputs are the job's result."""


def run_views(job: Json, tasks: Sequence[Json]) -> list[RunView]:
    """Return a job's runs, oldest first; `tasks` in the order of their revisions."""
    by_revision: dict[int, list[Json]] = {}
    for task in tasks:
        by_revision.setdefault(task["revision"], []).append(task)
    result = result_revision(job, tasks)
    newest = max(by_revision, default=0)
    return [
        RunView(
            revision=revision,
            state=job["state"] if revision == newest else _state(own),
            stages=outputs_of(job, own),
            began_at=min(task["created_at"] for task in own),
            finished_at=_last(own).get("finished_at"),
            result=revision == result,
        )
        for revision, own in by_revision.items()
    ]


def result_revision(job: Json, tasks: Sequence[Json]) -> int | None:
    """Return the revision whose outputs are the result; None while no run has succeeded."""
    if job.get("promoted") is not None:
        return int(job["promoted"])
    names = stages_at_work(job)
    done = [each["revision"] for each in tasks if names and _is_end(each, names[-1])]
    return max(done, default=None)


def outputs_of(job: Json, run: Sequence[Json]) -> dict[str, int]:
    """Return the revision of every output that a run has, by stage in order; `run` is its own tasks."""
    names = stages_at_work(job)
    furthest = max(run, key=lambda task: names.index(task["stage"]) if task["stage"] in names else -1)
    done = dict(furthest["inputs"])
    if furthest["state"] == "succeeded":
        done[furthest["stage"]] = furthest["revision"]
    return {name: done[name] for name in names if name in done}


def output_revision(job: Json, tasks: Sequence[Json], stage: str, revision: int | None) -> int:
    """Return the revision of a stage's output in a run; without one in the result, else the newest.

    Raises:
        NotFound: there is no such run, or the stage has not written its output in it.
    """
    wanted = result_revision(job, tasks) if revision is None else revision
    if wanted is None:
        newest = [each["revision"] for each in tasks if each["stage"] == stage]
        if newest:
            return int(newest[-1])
    else:
        own = [each for each in tasks if each["revision"] == wanted]
        if not own:
            raise NotFound(f"job {job['_id']} has no revision {wanted}")
        done = outputs_of(job, own)
        if stage in done:
            return done[stage]
    raise NotFound(f"job {job['_id']} has no output of stage {stage!r} (yet)")


def _is_end(task: Json, last: str) -> bool:
    return bool(task["stage"] == last and task["state"] == "succeeded")


def _last(run: Sequence[Json]) -> Json:
    return max(run, key=lambda task: task["created_at"])


def _state(run: Sequence[Json]) -> JobState:
    """Return what became of an earlier run: that of its last task, as it ended then."""
    state: JobState = _last(run)["state"]
    return state
