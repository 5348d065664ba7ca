"""The database beside the model; each comparison returns what differs, empty when nothing does."""

from datetime import datetime, timedelta
from typing import Any

from tests.properties.model import ENDED, Model, TaskModel
from tests.properties.world import Doc, Seen

SLACK = timedelta(seconds=45)
"""Longest that an example may take, as the model's clock stands still between steps."""


def compare(model: Model, seen: Seen, began: datetime) -> dict[str, Any]:
    """Return what differs, each with what the model says and what is there."""
    expected: dict[str, dict[str, Any]] = {
        "job": {each.id: each.state for each in model.jobs.values()},
        "task": {each.id: _expected(each) for each in model.tasks.values()},
        "saved": {key: value for key, (value, _) in model.saved.items()},
        "expired": dict.fromkeys(model.expired(), True),
    }
    there: dict[str, dict[str, Any]] = {
        "job": {key: each["state"] for key, each in seen.jobs.items()},
        "task": {key: _there(each) for key, each in seen.tasks.items()},
        "saved": {key: each["body"] for key, each in seen.outputs.items()}
        | {key: each["value"] for key, each in seen.checkpoints.items()},
        "expired": dict.fromkeys(seen.expired, True),
    }
    return {
        f"{kind} {key}": {"expected": expected[kind].get(key), "there": there[kind].get(key)}
        for kind in expected
        for key in {*expected[kind], *there[kind]}
        if expected[kind].get(key) != there[kind].get(key)
    } | _times(model, seen, began)


def _expected(task: TaskModel) -> dict[str, Any]:
    return {
        "state": task.state,
        "attempt": task.attempt,
        "deaths": task.deaths,
        "fence": task.fence,
        "claim": task.claim,
        "worker": task.worker,
    }


def _there(task: Doc) -> dict[str, Any]:
    return {
        "state": task["state"],
        "attempt": task["attempt"],
        "deaths": task["deaths"],
        "fence": task["lease"]["fence"],
        "claim": task["lease"]["claim_id"],
        "worker": task["lease"]["worker"],
    }


def _times(model: Model, seen: Seen, began: datetime) -> dict[str, Any]:
    """Due times and ends of leases, which the model knows but for how long an example has taken."""
    wrong = {}
    for task in model.tasks.values():
        there = seen.tasks.get(task.id)
        if there is None:
            continue
        pairs = [(task.until, there["lease"]["until"])]
        pairs += [(task.run_at, there["run_at"])] if task.state == "ready" else []
        for expected, actual in pairs:
            if (expected is None) != (actual is None):
                wrong[f"time {task.id}"] = {"expected": expected, "there": actual}
            elif expected is not None:
                late = actual - began - timedelta(seconds=expected)
                if not timedelta(0) <= late + timedelta(milliseconds=1) < SLACK:
                    wrong[f"time {task.id}"] = {"expected": expected, "there": actual}
    for job in model.jobs.values():
        ended = seen.jobs.get(job.id, {}).get("finished_at") is not None
        if ended != (job.state in ENDED):
            wrong[f"end {job.id}"] = {"expected": job.state, "there": ended}
    return wrong


def compare_history(before: Seen | None, now: Seen) -> dict[str, Any]:
    """Return what changed that never may: outputs, checkpoints, fences that went back, documents gone."""
    if before is None:
        return {}
    kept = [(before.outputs, now.outputs), (before.checkpoints, now.checkpoints)]
    changed = {key: then[key] for then, there in kept for key in then if then[key] != there.get(key)}
    for key, task in before.tasks.items():
        if key not in now.tasks or task["lease"]["fence"] > now.tasks[key]["lease"]["fence"]:
            changed[key] = task
    return changed | {key: job for key, job in before.jobs.items() if key not in now.jobs}
