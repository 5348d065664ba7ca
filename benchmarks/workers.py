"""More workers: throughput, claims that got nothing, write conflicts, and what a change stream costs."""

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from benchmarks.bare_listener import bare_listener
from benchmarks.child import cpu_seconds
from benchmarks.claims import LOOKS_AND_TAKES, claims, while_work_was_ready
from benchmarks.counters import counters
from benchmarks.crowded import attempts_of_single_jobs
from benchmarks.figure import Figure, Measured, Series
from benchmarks.ground import NOOP, Form, fresh_store, jobs, verify
from benchmarks.profiler import profiled
from benchmarks.worker_process import WorkerProcess, until_registered, worker_process
from pipeline.store import Store

SLOTS = 64
"""Of each worker: no-op stages are worth it only together."""
NUMBERS, FEWER_NUMBERS = (1, 2, 4, 8, 16), (1, 4, 8)
MOST_EMPTY = 10
"""Percent of the claims while work is ready."""
MOST_CONFLICTS = 0.05
"""Write conflicts for each task: flat means that there are next to none, whatever the number of workers."""
DEARER = 1.5
"""How much more processor time the same events may cost a listener when there are many workers. A bare
listener beside it tells what of that is the machine's: the more processes share the cores, the more all cost.
"""
_TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds: finer the system doesn't count. A bare listener of few events may not have come to the first."""
_LOOK_AGAIN = 0.05
_SETTLE = 1.0


@dataclass(frozen=True, slots=True)
class Round:
    """The same jobs, by so many workers."""

    workers: int
    rate: float
    """Chains in a second, from the insert of the first to the end of the last."""
    empty: float
    """Share of the claims, while work was ready, that got nothing."""
    conflicts: float
    """Of each task."""
    aborted: float
    """Transactions, of each task."""
    heard: float
    """Microseconds of processor time that a job's events cost a worker which has nothing to do with it."""
    bare: float
    """Microseconds that they cost a process which reads them with the driver, and drops them."""


async def measure(form: Form) -> Measured:
    """Add workers to one queue, and measure with each number; then many that are idle."""
    count = form.size(6_000, 600)
    rounds: list[Round] = []
    async with fresh_store() as store:
        async with AsyncExitStack() as stack:
            bystander = await stack.enter_async_context(
                worker_process(store, "bystander", pipeline="benchmarks.stages:ELSEWHERE")
            )
            bare = await stack.enter_async_context(bare_listener(store))
            listeners = bystander.process.pid, bare.pid
            workers: list[WorkerProcess] = []
            for number in FEWER_NUMBERS if form.short else NUMBERS:
                for position in range(len(workers), number):
                    added = worker_process(store, f"w{position}", "--slots", str(SLOTS))
                    workers.append(await stack.enter_async_context(added))
                await until_registered(store, bystander, *workers)
                await anyio.sleep(_SETTLE)
                rounds.append(await _round(store, number, count, listeners))
        attempts = await attempts_of_single_jobs(store, form.size(20, 3))
        await verify(store)
    rates = Series("workers", "Millrace", [each.rate for each in rounds], [each.workers for each in rounds])
    return [*_figures(rounds, count, form), attempts, rates]


async def _round(store: Store, workers: int, count: int, listeners: Sequence[int]) -> Round:
    submitted = jobs(count)
    before, busy = await counters(store), [cpu_seconds(pid) for pid in listeners]
    async with profiled(store, LOOKS_AND_TAKES) as entries:
        started = datetime.now(UTC)
        await store.db["jobs"].insert_many(submitted, ordered=False)
        await _until_done(store)
    heard, bare = (cpu_seconds(pid) - already for pid, already in zip(listeners, busy, strict=True))
    counted = (await counters(store)).since(before)
    last = await store.db["jobs"].find({"tenant": "default"}).sort("finished_at", -1).limit(1).to_list()
    elapsed = (last[0]["finished_at"].replace(tzinfo=UTC) - started).total_seconds()
    made = while_work_was_ready(claims(entries))
    tasks = count * len(NOOP.stages)
    return Round(
        workers=workers,
        rate=count / elapsed,
        empty=sum(not each.taken for each in made) / max(1, len(made)),
        conflicts=counted.write_conflicts / tasks,
        aborted=counted.aborted / tasks,
        heard=1e6 * heard / count,
        bare=1e6 * max(bare, _TICK) / count,
    )


async def _until_done(store: Store) -> None:
    open_ = {"tenant": "default", "state": {"$in": ["submitted", "running"]}}
    with anyio.fail_after(120):
        while True:
            if await store.db["jobs"].find_one(open_, {"_id": 1}) is None:
                return
            await anyio.sleep(_LOOK_AGAIN)


def _figures(rounds: Sequence[Round], count: int, form: Form) -> list[Figure]:
    def told(value: Callable[[Round], float], form: str) -> str:
        return ", ".join(f"{one.workers}: {format(value(one), form)}" for one in rounds)

    first, last = rounds[0], rounds[-1]
    return [
        Figure(
            f"workers.rate_{last.workers}",
            last.rate,
            "chains/s",
            reference=first.rate,
            note=f"{count:,} jobs, {SLOTS} slots each; by workers: {told(lambda one: one.rate, ',.0f')}",
        ),
        Figure(
            f"workers.empty_claims_{last.workers}",
            100 * last.empty,
            "%",
            target=MOST_EMPTY,
            bound="at most",
            note=f"while work was ready; by workers: {told(lambda one: 100 * one.empty, '.1f')}",
        ),
        Figure(
            f"workers.conflicts_{last.workers}",
            last.conflicts,
            "per task",
            target=MOST_CONFLICTS,
            bound="at most",
            note=f"write conflicts, by workers: {told(lambda one: one.conflicts, '.3f')}; "
            f"aborted transactions: {told(lambda one: one.aborted, '.3f')}",
        ),
        Figure(
            f"workers.stream_cost_{last.workers}",
            last.heard,
            "µs/job",
            reference=first.heard * last.bare / first.bare,
            target=None if form.short else DEARER,  # a few ticks are too coarse
            bound="at most",
            note="a worker that only hears of these jobs, and what it needs with one that works, as much "
            f"dearer as a bare listener's events became; by workers: {told(lambda one: one.heard, '.0f')}; "
            f"the bare listener's: {told(lambda one: one.bare, '.0f')}",
        ),
    ]
