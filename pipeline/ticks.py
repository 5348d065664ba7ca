"""What a schedule does when it is due: pure functions that return the `Change` to commit.

Each is guarded by the tick that the schedule waits for, so that of all workers one fires it, once; the job is
inserted in the same transaction.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.cron import Cron
from pipeline.model import Change, Write
from pipeline.updates import after, literal

TOLERANCE = timedelta(minutes=1)
"""A tick that is later than that counts as missed: nobody was there to fire it."""

LEASE = timedelta(minutes=1)
"""How long a built-in task may go without a sign of life."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What is to be done now, and when to look again."""

    at: datetime | None
    """None: what was due is missed, and stays so."""
    next_at: datetime | None


def due(schedule: Mapping[str, Any], cron: Cron, now: datetime) -> Tick:
    """Decide, of a schedule that is due at the server's `now`, which tick is fired.

    By its policy for missed ticks: `all` fires the oldest one, and comes back for the others; `latest` the
    newest, once for all that were missed; `skip` the newest, unless that is missed as well.
    """
    first = schedule["next_at"]
    if schedule["missed"] == "all":
        return Tick(first, cron.after(first))
    newest = max(first, cron.until(now) or first)
    if schedule["missed"] == "skip" and now - newest > TOLERANCE:
        return Tick(None, cron.after(now))
    return Tick(newest, cron.after(max(now, newest)))


def fire(schedule: Mapping[str, Any], tick: Tick, worker: str, now: datetime) -> Change:
    """Fire a tick: submit the schedule's job, or let this worker run its task; or pass a missed one over."""
    update: dict[str, Any] = {"next_at": tick.next_at}
    creates: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    match = {"_id": schedule["_id"], "next_at": schedule["next_at"], "paused": False}
    if tick.at is not None:
        update |= {
            "last": {"tick": tick.at, "at": "$$NOW"},
            "fired": {"$add": [{"$ifNull": ["$fired", 0]}, 1]},
        }
        if "job" in schedule:
            job = job_of_tick(schedule, tick.at, now)
            update["last"]["job"] = job["_id"]
            creates = (("jobs", job),)
        else:
            update["running"] = _run(tick.at, worker)
            match["running"] = None
    return Change(guard=Write("schedules", match, [{"$set": update}]), creates=creates)


def job_of_tick(schedule: Mapping[str, Any], tick: datetime, now: datetime) -> dict[str, Any]:
    """Make the job of one tick; its id is the tick's own, so that it can't be submitted twice."""
    name = f"{schedule['_id']}/{schedule['created_at'].isoformat()}/{tick.isoformat()}"
    own = hashlib.sha256(name.encode()).hexdigest()[:20]
    job = schedule["job"]
    told = {"schedule": schedule["name"], "tick": tick.isoformat()}
    return {
        **job,
        "_id": f"{schedule['tenant']}.{int(tick.timestamp() * 1000):012x}{own}",
        "tenant": schedule["tenant"],
        "metadata": {**job.get("metadata", {}), **told},
        "state": "submitted",
        "created_at": now,
    }


def postpone(schedule: Mapping[str, Any], tick: Tick) -> Change:
    """Pass a tick over, as the task of the one before it still runs."""
    match = {"_id": schedule["_id"], "next_at": schedule["next_at"]}
    return Change(guard=Write("schedules", match, [{"$set": {"next_at": tick.next_at}}]))


def plan(schedule: Mapping[str, Any], next_at: datetime | None) -> Change:
    """Note when a schedule that somebody inserted without that is due."""
    match = {"_id": schedule["_id"], "next_at": None}
    return Change(guard=Write("schedules", match, [{"$set": {"next_at": next_at}}]))


def disable(schedule: Mapping[str, Any], why: str) -> Change:
    """Pause a schedule that can't be understood, and say why."""
    match = {"_id": schedule["_id"], "cron": schedule["cron"], "paused": False}
    return Change(guard=Write("schedules", match, [{"$set": {"paused": True, "error": literal(why)}}]))


def take_over(schedule: Mapping[str, Any], worker: str) -> Change:
    """Run the task of a worker that gives no sign of life any more, by the server's clock."""
    running = schedule["running"]
    match = {"_id": schedule["_id"], "running.worker": running["worker"], "running.tick": running["tick"]}
    match["$expr"] = {"$lte": ["$running.until", "$$NOW"]}
    update = {"running": _run(running["tick"], worker)}
    return Change(guard=Write("schedules", match, [{"$set": update}]))


def keep(schedule: str, tick: datetime, worker: str) -> Change:
    """Give a sign of life of a task that runs."""
    return Change(guard=_held(schedule, tick, worker, {"running.until": after(LEASE)}))


def finish(schedule: str, tick: datetime, worker: str, done: Mapping[str, int]) -> Change:
    """End the run of a task, with what it has done."""
    update = {"running": None, "last.finished_at": "$$NOW", "last.done": literal(dict(done))}
    return Change(guard=_held(schedule, tick, worker, update))


def _held(schedule: str, tick: datetime, worker: str, update: Mapping[str, Any]) -> Write:
    match = {"_id": schedule, "running.tick": tick, "running.worker": worker}
    return Write("schedules", match, [{"$set": update}])


def _run(tick: datetime, worker: str) -> dict[str, Any]:
    return {"tick": tick, "worker": literal(worker), "until": after(LEASE)}
