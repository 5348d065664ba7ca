"""Whether what may not run slows down what may: jobs beside a long backlog that something holds back.

One worker has that backlog, another one, with a database of its own on the same mongod, has not. One job at a
time is submitted to either in turn, from the moment on when the first has put aside what it may not begin.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

import anyio

from benchmarks.databases import database
from benchmarks.figure import Figure
from benchmarks.filling import fill_ready
from benchmarks.ground import NOOP, Form, Nothing, fresh_store
from benchmarks.round_trip import round_trip
from pipeline import Document, Pipeline, StageContext, Unavailable, stage
from pipeline.model import queue_name
from pipeline.operator import Operator
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker

SLOWER = 1.3
"""The most that a long backlog of what is held back may cost others."""
_TENANT, _KEY, _SERVICE = "held", "bench", "away"
_LONG = timedelta(days=31)
_LOOK_AGAIN = 0.05


@stage(name="keep", key=_KEY)
async def keep(document: Document, context: StageContext) -> Nothing:
    """Keep what a limit lets run running: the others stay where they are."""
    await anyio.sleep_forever()
    return Nothing(x=1)


@stage(name="ask")
async def ask(document: Document, context: StageContext) -> Nothing:
    """Ask a service that is away."""
    with context.service(_SERVICE):
        raise Unavailable(_SERVICE, "it is away for as long as this is measured")


KEPT, ASKING = Pipeline("kept", [keep]), Pipeline("asking", [ask])


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that holds a backlog back."""

    name: str
    what: str
    pipeline: Pipeline
    set: Callable[[Operator], Awaitable[object]] | None
    """What an operator does; None when the worker finds it out."""
    stops_stage: bool = False
    """The stage isn't looked at any more; otherwise each of its tasks is put aside."""

    @property
    def queue(self) -> str:
        """The queue of the held tasks."""
        return queue_name(self.pipeline.name, self.pipeline.version, self.pipeline.stages[0].name)


HOLDS = (
    Hold("tenant_paused", "of a paused tenant", KEPT, lambda each: each.pause(f"tenant:{_TENANT}")),
    Hold("pipeline_paused", "of a paused pipeline", KEPT, lambda each: each.pause("pipeline:kept"), True),
    Hold("stage_paused", "of a paused stage", KEPT, lambda each: each.pause("stage:kept/keep"), True),
    Hold(
        "tenant_limited",
        "of a tenant of whom one task may run",
        KEPT,
        lambda each: each.limit(f"tenant:{_TENANT}", 1),
    ),
    Hold(
        "key_limited",
        "under a key of which one task may run",
        KEPT,
        lambda each: each.limit(f"key:{_KEY}", 1),
    ),
    Hold(
        "rate_used_up",
        "of a tenant whose rate is used up",
        KEPT,
        lambda each: each.limit(f"tenant:{_TENANT}", rate=1, per=_LONG),
    ),
    Hold("service_away", "of a stage whose service is away", ASKING, None, True),
)


async def measure(form: Form) -> list[Figure]:
    """Measure with each kind of hold, in the short form with every other one."""
    count = form.size(100_000, 2_000)
    figures: list[Figure] = []
    async with fresh_store() as store, database(store, "free") as free, _running(free):
        for hold in HOLDS[:: form.size(1, 2)]:
            async with database(store, "holding") as holding:
                figures += await _held(hold, holding, free, count, form.size(100, 20))
    return figures


async def _held(hold: Hold, holding: Store, free: Store, count: int, times: int) -> list[Figure]:
    await holding.pipelines.register([NOOP, KEPT, ASKING])
    if hold.set is not None:
        await hold.set(Operator(holding))
    await fill_ready(holding, count, pipeline=hold.pipeline, tenant=_TENANT)
    async with _running(holding):
        seconds, meanwhile = await _until_set_aside(hold, holding)
        both = [(await round_trip(holding), await round_trip(free)) for _ in range(times)]
    beside, alone = (median(each[at] for each in both) for at in (0, 1))
    note = f"submit to end beside {count:,} ready tasks {hold.what}; reference: without them"
    figures = [
        Figure(f"held_back.{hold.name}", beside, "ms", alone, SLOWER, "at most", f"{note}; p50 of {times}")
    ]
    if not hold.stops_stage:
        aside = f"the slowest of {len(meanwhile)} jobs while those were put aside, which took {seconds:.1f} s"
        figures.append(Figure(f"held_back.{hold.name}.meanwhile", max(meanwhile), "ms", note=aside))
    return figures


async def _until_set_aside(hold: Hold, store: Store) -> tuple[float, list[float]]:
    """Submit jobs until the worker meets the held ones no more; return the seconds, and theirs in ms."""
    began, meanwhile = time.perf_counter(), [await round_trip(store)]
    met = {"state": "ready", "queue": hold.queue}
    while not hold.stops_stage and await store.db["tasks"].find_one(met) is not None:
        meanwhile.append(await round_trip(store))
    while hold.set is None and not await Operator(store).services():  # noqa: ASYNC110 -- one look in 50 ms
        await anyio.sleep(_LOOK_AGAIN)
    return time.perf_counter() - began, meanwhile


@asynccontextmanager
async def _running(store: Store) -> AsyncIterator[None]:
    worker = Worker(store, [NOOP, KEPT, ASKING], WorkerSettings())
    async with anyio.create_task_group() as group:
        await group.start(worker.run)
        yield
        worker.stop(now=True)
