"""Chains a second of one worker with a backlog, beside a bare loop that does the same writes in batches.

Both run in this process, set up as `millrace worker` does, in turn, several times; the medians are compared.
"""

import statistics
import time

import anyio

from benchmarks.bare import BareChain
from benchmarks.figure import Figure
from benchmarks.ground import NOOP, Form, fresh_store, jobs, verify
from pipeline.cycles import search_seldom
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker

BATCH = 256
SLOTS = 768
"""Three batches: while two are committed, the third's stages run."""
LOOK_AGAIN = 0.05
"""Seconds. A change stream would have the server, and this process, do much that no bare loop does."""
_ENDED = {"tenant": "default", "state": "succeeded"}


async def measure(form: Form) -> list[Figure]:
    """Compare one worker with the bare loop."""
    search_seldom()
    count, rounds = form.size(5_000, 1_500), form.size(3, 1)
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(rounds):
        async with fresh_store() as store:
            bare.append(count / await _bare(store, count))
        async with fresh_store() as store:
            ours.append(count / await _worker(store, count))
            await verify(store)
    return [
        Figure(
            "throughput.one_worker",
            statistics.median(ours),
            "chains/s",
            reference=statistics.median(bare),
            target=0.6,
            note=f"{count:,} jobs of three no-op stages, {SLOTS} slots; the bare loop in batches of {BATCH}",
        )
    ]


async def _bare(store: Store, count: int) -> float:
    submitted = jobs(count)
    await store.db["jobs"].insert_many(submitted)
    chain = BareChain(store)
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        await chain.run(submitted[start : start + BATCH])
    return time.perf_counter() - began


async def _worker(store: Store, count: int) -> float:
    await store.db["jobs"].insert_many(jobs(count))
    worker = Worker(store, [NOOP], WorkerSettings(slots=SLOTS))
    async with anyio.create_task_group() as group:
        began = time.perf_counter()
        await group.start(worker.run)
        while await store.db["jobs"].count_documents(_ENDED) < count:  # noqa: ASYNC110 -- see LOOK_AGAIN
            await anyio.sleep(LOOK_AGAIN)
        took = time.perf_counter() - began
        worker.stop()
    return took
