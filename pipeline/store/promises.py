"""The promises about jobs, tasks and outputs, each as the checks that leave over what breaks it.

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
"""

from typing import Any

from pipeline.model import FINAL_STATES
from pipeline.store.driver import Doc
from pipeline.store.scan import Check, join, scan
from pipeline.updates import MAX_ERRORS


def jobs_have_work() -> Check:
    """Leave jobs over whose tasks are not what the job's state says."""
    none_open = {"$eq": ["$open", []]}
    running = {
        "$and": [
            {"$eq": [{"$size": "$open"}, 1]},
            {"$eq": [{"$first": "$open.revision"}, "$current"]},
        ]
    }
    holds = {
        "$switch": {
            "branches": [
                {"case": {"$gt": [{"$max": "$tasks.revision"}, "$current"]}, "then": False},
                {"case": {"$eq": ["$state", "running"]}, "then": running},
                {"case": {"$eq": ["$state", "submitted"]}, "then": {"$eq": ["$tasks", []]}},
                {"case": {"$eq": ["$state", "succeeded"]}, "then": {"$and": [none_open, _CHAIN]}},
            ],
            "default": none_open,
        }
    }
    return scan(
        "jobs",
        [
            {"$project": {"state": 1, "stages": 1, "skip": 1, "revision": 1}},
            join("tasks", "_id", "job", "tasks"),
            {
                "$set": {
                    "current": {"$ifNull": ["$revision", 1]},
                    "names": _at_work("$stages", "$skip"),
                    "open": _having("$tasks", {"$not": {"$in": ["$$this.state", sorted(FINAL_STATES)]}}),
                    "done": _having("$tasks", {"$eq": ["$$this.state", "succeeded"]}),
                }
            },
            {"$set": {"end": {"$first": _having("$done", _IS_THE_END)}}},
            {"$set": {"reads": _pairs("$end.inputs")}},
            {"$match": {"$expr": {"$not": holds}}},
        ],
    )


def tasks_have_successors() -> Check:
    """Leave tasks over without the successor that is due, with one that is not, or without a job."""
    due = {"$and": [{"$eq": ["$state", "succeeded"]}, {"$ne": ["$next", None]}]}
    next_id = _task_id("$job", {"$ifNull": ["$next", ""]}, "$revision")
    wrong = [
        {"$eq": ["$owner", []]},
        {"$eq": ["$position", -1]},
        {"$ne": [due, {"$in": [next_id, "$siblings._id"]}]},
    ]
    return scan(
        "tasks",
        [
            {"$project": {"job": 1, "stage": 1, "revision": 1, "state": 1}},
            join("jobs", "job", "_id", "owner"),
            join("tasks", "job", "job", "siblings"),
            *_POSITION,
            {"$set": {"next": {"$arrayElemAt": ["$names", {"$add": ["$position", 1]}]}}},
            {"$set": {"next": {"$ifNull": ["$next", None]}}},
            {"$match": {"$expr": {"$or": wrong}}},
        ],
    )


def checkpoints_have_a_fence() -> Check:
    """Leave checkpoints over that no lease of their task can have written."""
    granted = {"$first": "$holder.lease.fence"}
    return scan(
        "checkpoints",
        [
            {"$project": {"task": 1, "fence": 1}},
            join("tasks", "task", "_id", "holder"),
            # A fence that is missing is less than 1; a task that is missing never granted one.
            {"$match": {"$expr": {"$or": [{"$lt": ["$fence", 1]}, {"$gt": ["$fence", granted]}]}}},
        ],
    )


def attempts_are_bounded() -> Check:
    """Leave tasks over with too many attempts or errors, and failed ones that don't say why."""
    why = {"$last": "$errors"}
    unexplained = {"$or": [_is_missing(f"$$why.{field}") for field in ("type", "message")]}
    wrong = [
        {"$gt": ["$attempt", "$max_attempts"]},
        {"$gt": [{"$size": "$errors"}, MAX_ERRORS]},
        {
            "$and": [
                {"$eq": ["$state", "failed"]},
                {"$let": {"vars": {"why": why}, "in": unexplained}},
            ]
        },
    ]
    return scan("tasks", [{"$match": {"$expr": {"$or": wrong}}}])


def failed_jobs_say_why() -> Check:
    """Leave failed jobs over without an error."""
    return scan("jobs", [{"$match": {"state": "failed", "error.message": {"$not": {"$type": "string"}}}}])


def gaps_are_closed() -> Check:
    """Leave listener roles over with an open gap. A healthy listener closes one within moments."""
    return scan("listeners", [{"$match": {"gap": {"$type": "object"}}}])


def tokens_are_after_gaps() -> Check:
    """Leave closed gaps over to before whose end their role's saved token has gone back."""
    return scan(
        "gaps",
        [
            join("listeners", "role", "_id", "listener"),
            {"$set": {"token": {"$first": "$listener.token"}}},
            {"$match": {"token": {"$type": "string"}, "$expr": {"$lt": ["$token", "$to"]}}},
        ],
    )


def _having(array: Any, condition: Doc) -> Doc:
    return {"$filter": {"input": array, "cond": condition}}


def _pairs(mapping: str) -> Doc:
    return {"$ifNull": [{"$objectToArray": mapping}, []]}


def _task_id(job: Any, stage: Any, revision: Any) -> Doc:
    return {"$concat": [job, ":", stage, ":", {"$toString": revision}]}


def _at_work(stages: Any, skip: Any) -> Doc:
    """Return the stages of a job that it doesn't skip."""
    left_out = {"$in": ["$$this", {"$ifNull": [skip, []]}]}
    return _having({"$ifNull": [stages, []]}, {"$not": left_out})


def _is_missing(field: str) -> Doc:
    return {"$ne": [{"$type": field}, "string"]}


_POSITION: list[Doc] = [
    {"$set": {"names": _at_work({"$first": "$owner.stages"}, {"$first": "$owner.skip"})}},
    {"$set": {"position": {"$indexOfArray": ["$names", "$stage"]}}},
]

_IS_THE_END = {
    "$and": [{"$eq": ["$$this.stage", {"$last": "$names"}]}, {"$eq": ["$$this.revision", "$current"]}]
}

_CHAIN = {
    "$and": [
        {"$ne": [{"$type": "$end"}, "missing"]},
        {"$setEquals": ["$reads.k", {"$setDifference": ["$names", [{"$last": "$names"}]]}]},
        {
            "$setIsSubset": [
                "$reads",
                {"$map": {"input": "$done", "in": {"k": "$$this.stage", "v": "$$this.revision"}}},
            ]
        },
    ]
}
"""Every stage of a job has succeeded, each on what the one before it gave."""
