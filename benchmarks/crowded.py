"""How many workers run for a single job when sixty-four are idle."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from subprocess import DEVNULL

import anyio

from benchmarks.claims import LOOKS_AND_TAKES, claims
from benchmarks.figure import Figure
from benchmarks.ground import jobs
from benchmarks.profiler import profiled
from pipeline.store import Store
from pipeline.tether import tethered

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
    counts = []
    async with AsyncExitStack() as stack:
        for number in range(PROCESSES):
            await stack.enter_async_context(_crowd(store, f"crowd{number}"))
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


@asynccontextmanager
async def _crowd(store: Store, name: str) -> AsyncIterator[None]:
    uri = store.settings.mongodb_uri
    assert uri is not None  # noqa: S101 -- a connected store has one
    variables = {
        **os.environ,
        "MILLRACE_MONGODB_URI": uri.get_secret_value(),
        "MILLRACE_DATABASE": store.settings.database,
    }
    command = [sys.executable, "-m", "benchmarks.crowd", str(WORKERS), name]
    async with await anyio.open_process(
        tethered(command), stdin=DEVNULL, stdout=DEVNULL, stderr=None, env=variables
    ) as process:
        try:
            yield
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True), anyio.move_on_after(20):
                await process.wait()


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
