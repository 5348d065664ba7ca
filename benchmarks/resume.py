"""Back to work: a worker is killed with thousands of jobs under way or waiting, another one starts."""

import time
from dataclasses import dataclass

import anyio

from benchmarks.figure import Figure
from benchmarks.ground import Form, fresh_store, verify
from benchmarks.stages import WAITING
from benchmarks.worker_process import WorkerProcess, worker_process
from pipeline.rescuer import release_worker
from pipeline.store import Store
from pipeline.submission import job_document

SLOTS = 8
FIRST_CLAIM, ALL_BUSY = 1.0, 2.0
"""Seconds."""
WORKED = 0.5
"""Seconds that a worker has had all its slots busy when it is killed."""


@dataclass(frozen=True, slots=True)
class Return:
    """One kill, and what came after it. All times from the new process's start on."""

    released: int
    """Stage runs that the killed worker left, given back by its supervisor."""
    first_claim: float
    all_busy: float


async def measure(form: Form) -> list[Figure]:
    """Kill a worker again and again."""
    count, kills = form.size(10_000, 1_500), form.size(5, 2)
    async with fresh_store() as store:
        waiting = [job_document(WAITING.name, name="x.txt", content=b"hi") for _ in range(count)]
        await store.db["jobs"].insert_many(waiting, ordered=False)
        returns = await _kill_again_and_again(store, kills)
        redone = await store.db["tasks"].count_documents(
            {"$or": [{"errors.0": {"$exists": True}}, {"attempt": {"$gt": 1}}]}
        )
        await verify(store)
    note = f"{count:,} jobs under way or waiting, {SLOTS} slots; the slowest of {kills} restarts"
    return [
        Figure(
            "resume.first_claim",
            max(each.first_claim for each in returns),
            "s",
            target=FIRST_CLAIM,
            bound="at most",
            note=f"from the new process's start to a task that it holds; {note}",
        ),
        Figure(
            "resume.all_busy",
            max(each.all_busy for each in returns),
            "s",
            target=ALL_BUSY,
            bound="at most",
            note="until it holds as many tasks as it has slots",
        ),
        Figure(
            "resume.redone",
            max(redone / kills, *(each.released for each in returns)),
            "stage runs",
            target=SLOTS,
            bound="at most",
            note=f"begun before a kill and run again after it, for each kill; {redone} in all",
        ),
    ]


async def _kill_again_and_again(store: Store, kills: int) -> list[Return]:
    returns: list[Return] = []
    name = "resume-0"
    async with worker_process(store, name, *_OPTIONS, pipeline=_PIPELINE) as worker:
        await _until_held(store, worker, SLOTS)
        await anyio.sleep(WORKED)
        await worker.kill()
    for number in range(1, kills + 1):
        released = await release_worker(store, name)
        name = f"resume-{number}"
        started = time.monotonic()
        async with worker_process(store, name, *_OPTIONS, pipeline=_PIPELINE) as worker:
            await _until_held(store, worker, 1)
            first_claim = time.monotonic() - started
            await _until_held(store, worker, SLOTS)
            returns.append(Return(released, first_claim, time.monotonic() - started))
            await anyio.sleep(WORKED)
            if number < kills:
                await worker.kill()
    return returns


_PIPELINE = "benchmarks.stages:WAITING"
_OPTIONS = ("--slots", str(SLOTS))


async def _until_held(store: Store, worker: WorkerProcess, tasks: int) -> None:
    """Wait, by change events, until a worker holds that many tasks: asking would slow its start.

    Raises:
        RuntimeError: it has ended.
    """
    claimed = [{"$match": {"operationType": "update"}}]
    with anyio.fail_after(60):
        async with await store.db["tasks"].watch(claimed, max_await_time_ms=500) as changes:
            while len(await store.tasks.of_worker(worker.name)) < tasks:
                if worker.process.returncode is not None:
                    raise RuntimeError(f"{worker.name} ended with code {worker.process.returncode}")
                await changes.try_next()
