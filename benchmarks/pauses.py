"""How fast a pause, and its end, is heeded everywhere: busy worker processes, and what they still begin."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import anyio

from benchmarks.figure import Figure
from benchmarks.filling import fill_submitted
from benchmarks.ground import Form, fresh_store, verify
from benchmarks.stages import WAITING
from benchmarks.worker_process import until_registered, worker_process
from pipeline.model import DEFAULT_TENANT
from pipeline.operator import Operator
from pipeline.store import Store

_WORKERS = 4
_PAUSED = 2.0
"""Seconds: twice what a pause may take."""
_RUNNING = 1.0
_LOOK_AGAIN = 0.02
LONGEST = 1.0
"""Seconds until nothing of what is paused begins any more, on any worker."""
_STAGE = f"stage:{WAITING.name}/{WAITING.stages[0].name}"
_SUBJECTS = (f"tenant:{DEFAULT_TENANT}", f"pipeline:{WAITING.name}", _STAGE)


async def measure(form: Form) -> list[Figure]:
    """Pause and resume each kind of subject."""
    times = form.size(5, 1)
    async with fresh_store() as store:
        await fill_submitted(store, form.size(20_000, 5_000), pipeline=WAITING)
        async with AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(
                    worker_process(store, f"paused-{number}", pipeline="benchmarks.stages:WAITING")
                )
                for number in range(_WORKERS)
            ]
            await until_registered(store, *workers)
            both = [await _pause(store, subject) for _ in range(times) for subject in _SUBJECTS]
        await verify(store)
    return _figures(both)


def _figures(both: Sequence[tuple[float, float]]) -> list[Figure]:
    note = (
        f"the slowest of {len(both)}, of a tenant, a pipeline and a stage in turn; {_WORKERS} busy processes"
    )
    last, first = (1000 * max(each[at] for each in both) for at in (0, 1))
    most = 1000 * LONGEST
    return [
        Figure("pauses.last_begin", last, "ms", None, most, "at most", f"after `pause` has returned; {note}"),
        Figure(
            "pauses.first_begin", first, "ms", None, most, "at most", f"after `resume` has returned; {note}"
        ),
    ]


async def _pause(store: Store, subject: str) -> tuple[float, float]:
    """Pause it for a while; return how long something still began, and nothing after its end, in seconds."""
    operator = Operator(store)
    await anyio.sleep(_RUNNING)
    await operator.pause(subject)
    paused = await _now(store)
    await anyio.sleep(_PAUSED)
    last = await _last_begun(store)
    await operator.resume(subject)
    resumed = await _now(store)
    first = await _first_begun(store, resumed)
    return max(0.0, (last - paused).total_seconds()), (first - resumed).total_seconds()


async def _now(store: Store) -> datetime:
    """Return the time by the server's clock, as tasks' starts are."""
    now: datetime = (await store.db.command("hello", codec_options=store.db.codec_options))["localTime"]
    return now


async def _last_begun(store: Store) -> datetime:
    [task] = await store.db["tasks"].find({}, {"started_at": 1}).sort("started_at", -1).limit(1).to_list()
    began: datetime = task["started_at"]
    return began


async def _first_begun(store: Store, since: datetime) -> datetime:
    """Return when the first task after a moment began, as soon as one has."""
    later = {"started_at": {"$gt": since}}
    found: list[dict[str, Any]] = []
    with anyio.fail_after(30):
        while not found:
            await anyio.sleep(_LOOK_AGAIN)
            found = await store.db["tasks"].find(later).sort("started_at", 1).limit(1).to_list()
    began: datetime = found[0]["started_at"]
    return began
