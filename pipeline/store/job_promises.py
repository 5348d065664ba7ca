"""The promises about jobs and their tasks, each as the checks that leave over what breaks it.

A job's stages are run again from any of them on by a higher revision: the job is `running` again and
its `revision` (1 when absent) is the new one; the stage's new task names in `inputs` the revisions of
the earlier outputs that it builds on; older tasks and outputs stay as they are, a failed task failed.
A job may skip stages: its `skip` names them, and every promise is about the others alone. So at any time:

* A job that is `running` has exactly one open task, which is of the job's revision. Any other job has
  none, and a submitted one no task at all.
* No task is of a later revision than its job.
* Of a job that has `succeeded`, the last stage's task of its revision has succeeded, and so have the
  tasks that it names in `inputs`: one of each earlier stage, of whichever revision.
* A task that has succeeded, and is not of the last stage, has a successor of its own revision. No other
  task has one: the first task of a revision is nobody's successor.

Compared here and not on the server: tasks are found by their ids alone, which begin with their job's, and a
lookup by a range of ids takes five times as long as reading them.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from pipeline.model import FINAL_STATES, job_of, stages_at_work, task_id
from pipeline.store.driver import Doc
from pipeline.store.scan import Check, Page, Snapshot, by_id, walk

_JOB = {"$project": {"state": 1, "stages": 1, "skip": 1, "revision": 1}}
_TASK = {"$project": {"job": 1, "stage": 1, "state": 1, "revision": 1, "inputs": 1}}


def jobs_have_work() -> Check:
    """Leave jobs over whose tasks are not what the job's state says."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, "jobs"):
            jobs = {row["_id"]: row async for row in database.rows("jobs", [*page, _JOB])}
            tasks = await _tasks_of(database, jobs)
            yield Page(checked, [job for job in jobs if not _has_its_work(jobs[job], tasks[job])])

    return pages


def tasks_have_successors() -> Check:
    """Leave tasks over without the successor that is due, with one that is not, or without a job."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, "tasks"):
            tasks = [row async for row in database.rows("tasks", [*page, _TASK])]
            jobs = await by_id(database, "jobs", {task["job"] for task in tasks}, "stages", "skip")
            names = {job: stages_at_work(row) for job, row in jobs.items()}
            following = {
                task["_id"]: _following(task, names[task["job"]])
                for task in tasks
                if task["stage"] in names.get(task["job"], ())
            }
            there = await by_id(database, "tasks", filter(None, following.values()))
            yield Page(
                checked,
                [
                    task["_id"]
                    for task in tasks
                    if task["_id"] not in following
                    or _is_due(task, following[task["_id"]]) != (following[task["_id"]] in there)
                ],
            )

    return pages


async def _tasks_of(database: Snapshot, jobs: Collection[Any]) -> dict[Any, list[Doc]]:
    """Return the tasks of these jobs, by job, from the range of ids, where others may be too."""
    tasks: dict[Any, list[Doc]] = {job: [] for job in jobs}
    within = {"$gt": min(f"{job}:" for job in jobs), "$lt": max(f"{job};" for job in jobs)}
    async for task in database.rows("tasks", [{"$match": {"_id": within}}, _TASK]):
        if (job := job_of(task["_id"])) in tasks:
            tasks[job].append(task)
    return tasks


def _has_its_work(job: Doc, tasks: Sequence[Doc]) -> bool:
    current = job.get("revision") or 1
    if any(task["revision"] > current for task in tasks):
        return False
    at_work = [task["revision"] for task in tasks if task["state"] not in FINAL_STATES]
    match job["state"]:
        case "submitted":
            return not tasks
        case "running":
            return at_work == [current]
        case "succeeded":
            return not at_work and _is_done(job, current, tasks)
        case _:
            return not at_work


def _is_done(job: Doc, revision: int, tasks: Sequence[Doc]) -> bool:
    """Tell whether every stage of a job has succeeded, each on what the one before it gave."""
    names = stages_at_work(job)
    done = {(task["stage"], task["revision"]): task for task in tasks if task["state"] == "succeeded"}
    end = done.get((names[-1], revision)) if names else None
    if end is None:
        return False
    reads: Mapping[str, int] = end.get("inputs") or {}
    return set(reads) == set(names[:-1]) and set(reads.items()) <= done.keys()


def _following(task: Doc, names: Sequence[str]) -> str | None:
    """Return the id that the successor of this task would have; None after the last of these stages."""
    position = names.index(task["stage"]) + 1
    return task_id(task["job"], names[position], task["revision"]) if position < len(names) else None


def _is_due(task: Doc, following: str | None) -> bool:
    return task["state"] == "succeeded" and following is not None
