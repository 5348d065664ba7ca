"""What can be done for a job whose tasks are not what its state says: decided here, committed by `repair`.

A decision is made of a job as it was in one snapshot; the change that follows matches nothing once
something was written to the job since. So it is safe while workers run, and to be made twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import repairs, updates
from pipeline.model import Change, ids_of_job, stages_at_work, task_id
from pipeline.store.driver import Doc
from pipeline.store.scan import Snapshot

UNREGISTERED = "its pipeline, in its version, is not registered: start a worker that hosts it"
NO_TASK = "its tasks are gone, and outputs of theirs are there: run it again from the first stage"
NO_OUTPUT = "the output of its last task is gone: cancel it, and run it again from that stage"
NO_CHAIN = "tasks or outputs of its earlier stages are gone: cancel it, and run it again from there"
TWO_TASKS = "it has more open tasks than one, or one of another revision: cancel it, and run it again"
OTHER_STAGES = "its stages are not those that are registered for its pipeline: cancel it, and submit it again"


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change, and what it does, in words."""

    change: Change
    done: str


@dataclass(frozen=True, slots=True)
class Case:
    """A job with everything that a decision needs."""

    job: Doc
    tasks: list[Doc] = field(default_factory=list)
    outputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each output, by its task's id."""
    registered: Doc | None = None
    """Its pipeline as workers registered it."""

    @property
    def revision(self) -> int:
        """The revision that its newest tasks have."""
        return int(self.job.get("revision") or 1)

    @property
    def names(self) -> list[str]:
        """The stages that it doesn't skip, in order."""
        return stages_at_work(self.job)

    @property
    def open(self) -> list[Doc]:
        """Its tasks that have not ended."""
        return [task for task in self.tasks if task["state"] in updates.OPEN_TASK]

    @property
    def newest(self) -> Doc | None:
        """The task of its revision that is furthest along."""
        current = {task["stage"]: task for task in self.tasks if task["revision"] == self.revision}
        return next((current[name] for name in reversed(self.names) if name in current), None)


async def read_case(database: Snapshot, job: str) -> Case | None:
    """Read a job as it is in this snapshot; None when there is none."""
    found = [row async for row in database.rows("jobs", [{"$match": {"_id": job}}, _SLIM])]
    if not found:
        return None
    of_job: list[Doc] = [{"$match": {"_id": ids_of_job(job)}}]
    tasks = [row async for row in database.rows("tasks", of_job)]
    hashes = [*of_job, {"$project": {"sha256": 1}}]
    outputs = {row["_id"]: row["sha256"] async for row in database.rows("outputs", hashes)}
    version = found[0].get("pipeline_version") or max((task["pipeline_version"] for task in tasks), default=0)
    key = {"$match": {"_id": f"{found[0]['pipeline']}@{int(version)}"}}
    registered = [row async for row in database.rows("pipelines", [key])]
    return Case(found[0], tasks, outputs, registered[0] if registered else None)


_SLIM = {"$unset": "document.inline"}


def decide(case: Case) -> Remedy | str | None:
    """Return what to do, why nothing can be done, or None when nothing is to be done by a repair."""
    match case.job["state"]:
        case "running":
            return _running(case)
        case "submitted":
            return _submitted(case) if case.tasks else None
    if not case.open:
        return None
    return Remedy(repairs.close(case.job, case.open), "cancelled what an ended job had left open")


def _submitted(case: Case) -> Remedy | str:
    """Take a job for admitted whose tasks prove it: admission would be refused for ever, as they exist.

    Whether it is at work or at its end is decided next, of the running job.
    """
    if case.registered is None:
        return UNREGISTERED
    stages = case.job.get("stages") or [stage["name"] for stage in case.registered["stages"]]
    change = repairs.readmit(case.job, case.registered["version"], stages)
    return Remedy(change, "set a submitted job that has tasks to running")


def _running(case: Case) -> Remedy | str | None:
    """Let a running job without an open task go on from where its tasks are.

    Nobody else can: only a holder of a task writes the next one, or the job's end.
    """
    if case.open:
        healthy = len(case.open) == 1 and case.open[0]["revision"] == case.revision
        return None if healthy else TWO_TASKS
    if not case.tasks:
        if case.outputs:
            return NO_TASK
        change = repairs.resubmit(case.job)
        return Remedy(change, "submitted a running job without any task again")
    last = case.newest
    if last is None:
        return NO_CHAIN
    if last["state"] != "succeeded":
        return Remedy(
            repairs.conclude(case.job, last), f"ended a running job whose last task was {last['state']}"
        )
    return _after_success(case, last)


def _after_success(case: Case, last: Doc) -> Remedy | str:
    if last["_id"] not in case.outputs:
        return NO_OUTPUT
    if not _is_chained(case, last):
        return NO_CHAIN
    if last["stage"] == case.names[-1]:
        change = repairs.conclude(case.job, last)
        return Remedy(change, "ended a running job whose last stage had succeeded")
    if case.registered is None:
        return UNREGISTERED
    skip = case.job.get("skip") or ()
    stages = [stage for stage in case.registered["stages"] if stage["name"] not in skip]
    if [stage["name"] for stage in stages] != case.names:
        return OTHER_STAGES
    following = stages[case.names.index(last["stage"]) + 1]
    if "max_attempts" not in following:
        return UNREGISTERED  # by a version of Millrace that did not say enough
    change = repairs.extend(case.job, last, following, _given(case, last, following))
    return Remedy(change, "emitted the missing successor of a task that had succeeded")


def _given(case: Case, last: Doc, following: Doc) -> dict[str, Any]:
    if following["takes_document"]:
        return {"sha256": case.job["document"]["sha256"], "output": None}
    return {"sha256": case.outputs[last["_id"]], "output": last["_id"]}


def _is_chained(case: Case, last: Doc) -> bool:
    """Tell whether every earlier stage has succeeded, in the revision that this task builds on."""
    before = case.names[: case.names.index(last["stage"])]
    built_on = {task_id(case.job["_id"], stage, revision) for stage, revision in last["inputs"].items()}
    succeeded = {task["_id"] for task in case.tasks if task["state"] == "succeeded"}
    return set(last["inputs"]) == set(before) and built_on <= succeeded & set(case.outputs)
