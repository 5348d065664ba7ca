"""How many workers run for a single job when sixty-four are idle."""

from contextlib import AsyncExitStack

import anyio

from benchmarks.child import child, database_of
from benchmarks.claims import LOOKS_AND_TAKES, claims
from benchmarks.figure import Figure
from benchmarks.ground import jobs
from benchmarks.profiler import profiled
from pipeline.store import Store

PROCESSES, WORKERS = 4, 16
"""So many processes, with so many workers in each."""
MOST_ATTEMPTS = 2
SETTLE = 2.0
"""Seconds for the last ones to open their change streams, and to hear of each other."""
LATE = 1.0
"""Seconds after a job's end in which somebody might still look for it."""
_LOOK_AGAIN = 0.02


async def attempts_of_single_jobs(store: Store, times: int) -> Figure:
    """Submit one job at a time, and count who tried to get it."""
    counts, environment = [], database_of(store)
    async with AsyncExitStack() as stack:
        for number in range(PROCESSES):
            crowd = child("benchmarks.crowd", str(WORKERS), f"crowd{number}", environment=environment)
            await stack.enter_async_context(crowd)
        await _until_there(store, PROCESSES * WORKERS)
        await anyio.sleep(SETTLE)
        for _ in range(times):
            async with profiled(store, LOOKS_AND_TAKES) as entries:
                [job] = jobs(1)
                await store.db["jobs"].insert_one(job)
                await _until_ended(store, job["_id"])
                await anyio.sleep(LATE)
            counts.append(len(claims(entries)))
    mean = sum(counts) / len(counts)
    return Figure(
        "workers.attempts_for_one_job",
        max(counts),
        "claims",
        target=MOST_ATTEMPTS,
        bound="at most",
        note=f"{PROCESSES * WORKERS} idle workers in {PROCESSES} processes; the worst of {times} jobs, "
        f"{mean:.1f} on average",
    )


async def _until_there(store: Store, workers: int) -> None:
    with anyio.fail_after(60):
        while True:
            if await store.db["workers"].count_documents({"_id": {"$regex": "^crowd"}}) >= workers:
                return
            await anyio.sleep(_LOOK_AGAIN)


async def _until_ended(store: Store, job: str) -> None:
    with anyio.fail_after(60):
        while True:
            if await store.db["jobs"].find_one({"_id": job, "state": "succeeded"}, {"_id": 1}):
                return
            await anyio.sleep(_LOOK_AGAIN)
