"""Why isn't this running? Everything that keeps a job from going on, from what the database holds."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel

from pipeline.breaker import Breaker
from pipeline.limit import Limit
from pipeline.limits import Limits
from pipeline.model import FINAL_STATES, SERVICE, pipeline_of, queue_name, stage_queue, subject_of
from pipeline.pattern import filled, likeness
from pipeline.store import Store
from pipeline.store.controls import breaker_of

Kind = Literal[
    "ended",
    "running",
    "paused",
    "away",
    "limited",
    "budget",
    "delayed",
    "no_worker",
    "drained",
    "behind",
    "next",
]

Doc = Mapping[str, Any]


class Reason(BaseModel):
    """One thing that a job waits for, or why it does not wait."""

    kind: Kind
    message: str
    subject: str | None = None
    """What is paused, such as `tenant:acme`; or away, as `service:openai`."""
    until: datetime | None = None
    """When this ends by itself."""
    ahead: int | None = None
    """How many come before it, counted up to 100,000."""


class WhyView(BaseModel):
    """Why a job is not running."""

    job: str
    state: str
    stage: str | None
    """The stage that runs, or is to run next."""
    reasons: list[Reason]
    """All that hold; what is first keeps it whatever the others do."""


async def why(store: Store, job: Doc, tasks: Sequence[Doc]) -> WhyView:
    """Explain a job as it is stored, with its tasks."""
    if job["state"] in FINAL_STATES:
        reason = Reason(kind="ended", message=f"it has {_ENDED[job['state']]}")
        return WhyView(job=job["_id"], state=job["state"], stage=None, reasons=[reason])
    task = next((each for each in tasks if each["state"] not in FINAL_STATES), None)
    if task is not None and task["state"] == "running":
        lease = task["lease"]
        message = (
            f"it runs: worker {lease['worker']} has held it since {task['started_at']:%Y-%m-%d %H:%M:%S} UTC"
        )
        reasons = [Reason(kind="running", message=message, until=lease["until"])]
        return _view(job, task["stage"], reasons)
    if task is None:
        return await _submitted(store, job)
    reasons = [
        *await _delay(store, job, task),
        *await _closed(store, job, task["queue"], task.get("service")),
    ]
    reasons += await _full(store, job, task["queue"], task.get("key"), task.get("cost") or {})
    ahead = await store.waits.before_task(task)
    return _view(job, task["stage"], reasons or [_position(ahead)], ahead)


async def _submitted(store: Store, job: Doc) -> WhyView:
    """Explain a job that nobody has admitted yet."""
    version, first = await _first_stage(store, job)
    if first is None:
        what = job["pipeline"] + (f" version {version}" if version else "")
        reason = Reason(kind="no_worker", message=f"no worker has ever hosted pipeline {what}")
        return _view(job, None, [reason])
    queue = queue_name(job["pipeline"], version or 1, first)
    reasons = [*await _delay(store, job, job), *await _closed(store, job, queue, None)]
    reasons += await _full(store, job, queue, None, {})
    ahead = await store.waits.before_job(job, version or 1, queue)
    return _view(job, first, reasons or [_position(ahead)], ahead)


async def _first_stage(store: Store, job: Doc) -> tuple[int | None, str | None]:
    """Return the version in which a job would begin, and that version's first stage."""
    wanted = job.get("pipeline_version")
    for record in await store.pipelines.list():  # newest version first
        if record["name"] == job["pipeline"] and wanted in (None, record["version"]):
            return int(record["version"]), record["stages"][0]["name"]
    return wanted, None


async def _delay(store: Store, job: Doc, waiting: Doc) -> list[Reason]:
    """Tell whether a job or task is not due yet."""
    now = await store.waits.now(job["_id"])
    run_at = waiting.get("run_at")
    if now is None or run_at is None or run_at <= now:
        return []
    why = "it was submitted for later"
    if waiting.get("errors"):
        last = waiting["errors"][-1]
        why = f"its last attempt failed ({last['type']}: {last['message']}) and is tried again"
    snoozed = waiting.get("snoozed") or {}
    if snoozed.get("budget"):
        return [Reason(kind="budget", message=snoozed["why"], subject=snoozed["budget"], until=run_at)]
    if snoozed.get("why"):
        why = f"its stage asked for a pause: {snoozed['why']}"
    return [Reason(kind="delayed", message=f"{why}, at {run_at:%Y-%m-%d %H:%M:%S} UTC", until=run_at)]


async def _closed(store: Store, job: Doc, queue: str, service: str | None) -> list[Reason]:
    """Tell what is paused, whether a service is away, and whether anybody works on this queue.

    `service` is the one that was noted with the task.
    """
    queue = stage_queue(queue)
    subjects = (f"pipeline:{pipeline_of(queue)}", subject_of(queue), f"tenant:{job['tenant']}")
    controls = {each["_id"]: each for each in await store.controls.list()}
    reasons = [_paused(controls[subject]) for subject in subjects if subject in controls]
    breakers = [each for each in controls.values() if breaker_of(each) is not None]
    if breakers:
        reasons += _away(breakers, subject_of(queue), *await _called(store, job, queue, service))
    alive = await store.workers.alive()
    hosts = [each["_id"] for each in alive if queue in each.get("queues", ())]
    if not hosts:
        reasons.append(Reason(kind="no_worker", message=_nobody(queue, alive)))
    elif all(f"worker:{host}" in controls for host in hosts):
        message = f"every worker that hosts {queue} is drained: {', '.join(hosts)}"
        reasons.append(Reason(kind="drained", message=message))
    return reasons


async def _full(store: Store, job: Doc, queue: str, key: str | None, cost: Mapping[str, int]) -> list[Reason]:
    """Tell which limits have no room."""
    limits = Limits({stage_queue(queue): cost})
    limits.replace(await store.limits.list())
    over = {
        subject: limit
        for subject in limits.over(queue, job["tenant"], key)
        if (limit := limits.of(subject)) is not None
    }
    running = await store.limits.running() if over else Counter[str]()
    crowded = [
        Reason(
            kind="limited",
            subject=subject,
            message=f"{_said(subject)} may run {most} at once, and {running[subject]} run",
        )
        for subject, limit in over.items()
        if (most := limit.concurrency) is not None and running[subject] >= most
    ]
    return [*crowded, *await _spent(store, over, cost)]


async def _spent(store: Store, limits: Mapping[str, Limit], cost: Mapping[str, int]) -> list[Reason]:
    """Tell which rates have not enough for a task of this cost, and when they will."""
    left, now = await store.rates.left(limits)
    if now is None:
        return []
    reasons: list[Reason] = []
    for subject, limit in limits.items():
        for unit, amount in limit.takes(cost).items():
            rate, has = limit.rates[unit], left[subject, unit]
            until, whole = now + timedelta(seconds=rate.wait(has, amount)), math.floor(has)
            if until > now:
                message = (
                    f"{_said(subject)} may use {rate.amount} {unit} in {rate.per:g} s, has {whole} left, "
                    f"and this takes {amount}: there are enough at {until:%Y-%m-%d %H:%M:%S} UTC"
                )
                reasons.append(Reason(kind="limited", subject=subject, message=message, until=until))
    return reasons


def _said(subject: str) -> str:
    return subject.replace(":", " ", 1)


def _paused(control: Doc) -> Reason:
    told = f" ({control['reason']})" if control.get("reason") else ""
    message = (
        f"{control['_id'].replace(':', ' ', 1)} is paused since {control['at']:%Y-%m-%d %H:%M:%S} UTC{told}"
    )
    return Reason(kind="paused", subject=control["_id"], message=message)


async def _called(
    store: Store, job: Doc, queue: str, service: str | None
) -> tuple[str | None, re.Pattern[str] | None]:
    """Return the service that a task calls, if others of its stage call others, and what these are like."""
    stage = queue.rpartition("/")[2]
    for record in await store.pipelines.list():
        if queue == queue_name(record["name"], int(record["version"]), stage):
            pattern = next((each.get("service") for each in record["stages"] if each["name"] == stage), None)
            if pattern is not None:
                params = (job.get("params") or {}).get(stage) or {}
                return service or filled(pattern, job["tenant"], params), likeness(pattern)
    return None, None


def _away(
    controls: Iterable[Doc], stage: str, service: str | None, others: re.Pattern[str] | None
) -> list[Reason]:
    """Tell which services a task waits for: its own, and those for which all of its stage do."""
    found = ((each, breaker_of(each)) for each in controls)
    return [
        Reason(
            kind="paused" if breaker.until is None else "away",
            subject=each["_id"],
            message=f"{each['_id'].replace(':', ' ', 1)} {_standing(breaker, each['now'])}",
            until=breaker.due,
        )
        for each, breaker in found
        if breaker is not None
        and (
            each["_id"] == f"{SERVICE}{service}"
            or (stage in breaker.stages and not _is_like(others, each["_id"]))
        )
    ]


def _is_like(others: re.Pattern[str] | None, subject: str) -> bool:
    return others is not None and others.fullmatch(subject.removeprefix(SERVICE)) is not None


def _standing(breaker: Breaker, now: datetime) -> str:
    """Tell how a service stands, after its name."""
    told = f": {breaker.why}" if breaker.why else ""
    if breaker.due is None:
        return f"is held back since {breaker.since:%Y-%m-%d %H:%M:%S} UTC{told}"
    if breaker.state(now) == "probing":
        return f"is away, and one attempt asks whether it is back{told}"
    if breaker.due <= now:
        return f"is away, and the next attempt asks whether it is back{told}"
    return f"is away until {breaker.due:%Y-%m-%d %H:%M:%S} UTC{told}"


def _nobody(queue: str, alive: Sequence[Doc]) -> str:
    """Tell that no worker hosts a queue, and which versions of its stage they do host."""
    stage = subject_of(queue)
    others = {each for worker in alive for each in worker.get("queues", ()) if subject_of(each) == stage}
    told = f"; they host {', '.join(sorted(others))}" if others else ""
    return f"no live worker hosts {queue}{told}"


def _position(ahead: int) -> Reason:
    if ahead:
        return Reason(kind="behind", message=f"{ahead} come before it, and all slots are taken", ahead=ahead)
    return Reason(kind="next", message="it comes next, when a slot is free", ahead=0)


def _view(job: Doc, stage: str | None, reasons: list[Reason], ahead: int = 0) -> WhyView:
    """Make the answer; what waits for something else as well is told how many come before it."""
    if ahead and reasons[0].kind != "behind":
        message = f"{ahead} come before it"
        reasons = [*reasons, Reason(kind="behind", message=message, ahead=ahead)]
    return WhyView(job=job["_id"], state=job["state"], stage=stage, reasons=reasons)


_ENDED = {
    "succeeded": "succeeded",
    "failed": "failed: try it again with `retry`",
    "cancelled": "been cancelled",
}
