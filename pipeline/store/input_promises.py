"""The promise about what tasks work on: it is what they say, and so is what their outputs were made from.

Compared here and not on the server, which would have to carry whole outputs through its lookups.
"""

from collections.abc import AsyncIterator, Mapping

from pipeline.model import stages_at_work, task_id
from pipeline.store.driver import Doc
from pipeline.store.scan import Check, Page, Snapshot, by_id, walk

_OF_JOB = ("stages", "skip", "document.sha256")
_TASK = {"$project": {"job": 1, "stage": 1, "inputs": 1, "input": 1}}


def inputs_are_what_they_say() -> Check:
    """Leave tasks over whose `inputs` or `input` is not there, or not what their output was made from."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, "tasks"):
            tasks = [row async for row in database.rows("tasks", [*page, _TASK])]
            jobs = await by_id(database, "jobs", {task["job"] for task in tasks}, *_OF_JOB)
            wanted = {key for task in tasks for key in (task["_id"], *_named(task))}
            outputs = await by_id(database, "outputs", wanted, "sha256", "input_sha256")
            yield Page(
                checked,
                [
                    task["_id"]
                    for task in tasks
                    if task["job"] in jobs and not _holds(task, jobs[task["job"]], outputs)
                ],
            )

    return pages


def _holds(task: Doc, job: Doc, outputs: Mapping[str, Doc]) -> bool:
    """Tell whether a task builds on one output of each earlier stage, and on the hash that it names."""
    names, given = stages_at_work(job), task["input"]
    before = names[: names.index(task["stage"])] if task["stage"] in names else []
    named = _named(task)
    if set(task["inputs"]) != set(before) or not named <= outputs.keys():
        return False
    if given["output"] is None:
        source = job["document"]["sha256"]
    elif before and given["output"] == task_id(task["job"], before[-1], task["inputs"][before[-1]]):
        source = outputs[given["output"]]["sha256"]
    else:
        return False
    own = outputs.get(task["_id"])
    return bool(given["sha256"] == source and (own is None or own["input_sha256"] == source))


def _named(task: Doc) -> set[str]:
    return {task_id(task["job"], stage, revision) for stage, revision in task["inputs"].items()}
