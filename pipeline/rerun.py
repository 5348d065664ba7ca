"""An ended job runs again under a new revision: from which stage on, and with what; decided of its past.

Pure: `store.reruns` reads a past, and commits what was decided of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline import new_task
from pipeline.errors import StateConflict
from pipeline.model import Again, Anew, stages_at_work, task_id
from pipeline.pattern import filled
from pipeline.recipe import params_hash

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants run again."""

    stage: str | None = None
    """No stage before this one; None: any."""
    params: Mapping[str, Json] = field(default_factory=dict)
    """By stage, over those that the job has: a value replaces another, None removes it."""
    anew: Anew = "changed"


@dataclass(frozen=True, slots=True)
class Past:
    """A job with what it has done so far."""

    job: Json
    tasks: Sequence[Json]
    """In the order of their revisions."""
    outputs: Mapping[str, Json]
    """By id, without bodies: of the newest task of each stage at least."""
    registered: Json | None = None
    """Its pipeline as workers registered it last."""

    @property
    def names(self) -> list[str]:
        """The stages that it doesn't skip, in order."""
        return stages_at_work(self.job)

    @property
    def newest(self) -> dict[str, Json]:
        """The newest task of each stage that has one."""
        return {each["stage"]: each for each in self.tasks}

    @property
    def revision(self) -> int:
        """The newest."""
        return max((each["revision"] for each in self.tasks), default=1)

    @property
    def params(self) -> Mapping[str, Json]:
        """By stage: those of its newest revision."""
        return newest_params(self.job, self.tasks)

    def registered_stage(self, name: str) -> Json:
        """Return what workers registered of a stage; empty when nothing is known."""
        stages = self.registered["stages"] if self.registered else ()
        return next((each for each in stages if each["name"] == name), {})


def newest_params(job: Json, tasks: Sequence[Json]) -> Mapping[str, Json]:
    """Return the params by stage of a job's newest revision; `tasks` in the order of their revisions."""
    again = (tasks[-1].get("again") if tasks else None) or {}
    found: Mapping[str, Json] = again["params"] if "params" in again else job.get("params", {})
    return found


def merged(params: Mapping[str, Json], given: Mapping[str, Json]) -> dict[str, Json]:
    """Return params by stage with others laid over them; a value of None removes."""
    both = dict(params)
    for stage, values in given.items():
        laid = {**params.get(stage, {}), **values}
        both[stage] = {name: value for name, value in laid.items() if value is not None}
    return {stage: values for stage, values in both.items() if values or stage in params}


def first_changed(past: Past, asked: Asked) -> str | None:
    """Return the first stage that would give something else now, or never succeeded; None when there is none.

    With `anew` "all" it is the first that was asked for.

    Raises:
        StateConflict: the job has no such stage, or is given params for one before it.
    """
    names, begin = past.names, _begin(past, asked)
    if asked.anew == "all" and names:
        return names[begin]
    params, newest, revision = merged(past.params, asked.params), past.newest, 1
    for position, name in enumerate(names):
        task = newest.get(name)
        if task is None or task["state"] != "succeeded" or task["revision"] < revision:
            return names[max(begin, position)]
        if position >= begin and _is_changed(past, task, params.get(name) or {}):
            return name
        revision = task["revision"]
    return None


def decided(past: Past, asked: Asked, busy: Collection[str] = ()) -> dict[str, Any] | str | None:
    """Return the task with which a job runs again, why it can't, or None when nothing would be other.

    `busy` are batches that have not ended: they wait for the jobs that they have.
    """
    if past.job.get("batch") in busy:
        return f"its batch {past.job['batch']} has not ended"
    try:
        stage = first_changed(past, asked)
        return None if stage is None else task_from(past, stage, asked)
    except StateConflict as error:
        return str(error)


def _begin(past: Past, asked: Asked) -> int:
    begin = 0 if asked.stage is None else _position(past, asked.stage)
    for stage in asked.params:
        if _position(past, stage) < begin:
            raise StateConflict(f"there are params for stage {stage!r}, which comes before {asked.stage!r}")
    return begin


def _is_changed(past: Past, task: Json, params: Json) -> bool:
    """Tell whether a stage's newest output is not known to be what it would give now, of the same input."""
    output, stage = past.outputs.get(task["_id"], {}), past.registered_stage(task["stage"])
    if output.get("params") != params_hash(params):  # of an earlier release: not known
        return True
    now = (stage.get("version", output.get("stage_version")), stage.get("engine"))
    return now != (output.get("stage_version"), output.get("engine") if stage else None)


def task_from(past: Past, stage: str, asked: Asked) -> dict[str, Any]:
    """Return the task that runs a stage again, on the newest outputs of the stages before it.

    Raises:
        StateConflict: the job has no such stage, a stage before it has not succeeded, or there are params
            for one before it.
    """
    _begin(past, asked)
    before = past.names[: _position(past, stage)]
    newest = past.newest
    _require_success(before, newest)
    earlier = newest[stage]
    given = earlier["input"]
    if given["output"] is not None:
        source = newest[before[-1]]["_id"]
        if source not in past.outputs:
            raise StateConflict(f"the output {source} is missing: run the job again from {before[-1]!r}")
        given = {"sha256": past.outputs[source]["sha256"], "output": source}
    params = merged(past.params, asked.params)
    again = Again(asked.anew, None if params == past.job.get("params", {}) else params)
    return new_task.rerun_task(
        {**earlier, **_names(past, stage, params)},
        past.revision + 1,
        {name: newest[name]["revision"] for name in before},
        given,
        new_task.again_record(again),
    )


def _names(past: Past, stage: str, params: Mapping[str, Json]) -> Json:
    """Return the task's key and the service that it calls, as its params may be others now."""
    registered, given = past.registered_stage(stage), params.get(stage) or {}
    patterns = {name: registered[name] for name in ("key", "service") if registered.get(name) is not None}
    return {name: filled(each, past.job["tenant"], given) for name, each in patterns.items()}


def _position(past: Past, stage: str) -> int:
    if stage not in past.names:
        told = ", ".join(past.names) or "none yet"
        raise StateConflict(f"job {past.job['_id']} has no stage {stage!r}; it has: {told}")
    return past.names.index(stage)


def _require_success(stages: Sequence[str], newest: Mapping[str, Json]) -> None:
    """Check that these stages, as they last ran, succeeded one on the other's output.

    Raises:
        StateConflict: one has not, or was not run again after one before it was.
    """
    revision = 1
    for name in stages:
        task = newest.get(name)
        if task is None or task["state"] != "succeeded" or task["revision"] < revision:
            raise StateConflict(f"stage {name!r} has not succeeded: run the job again from there")
        revision = task["revision"]


def newest_outputs(tasks: Sequence[Json]) -> list[str]:
    """Return the ids of the newest output of each stage, of tasks in the order of their revisions."""
    newest = {each["stage"]: each["revision"] for each in tasks}
    return [task_id(tasks[0]["job"], stage, revision) for stage, revision in newest.items()] if tasks else []
