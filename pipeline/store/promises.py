"""The promises about attempts, checkpoints, listeners, each as the checks that leave over what breaks it."""

from pipeline.store.driver import Doc
from pipeline.store.scan import Check, join, scan
from pipeline.updates import MAX_ERRORS


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


def _is_missing(field: str) -> Doc:
    return {"$ne": [{"$type": field}, "string"]}
