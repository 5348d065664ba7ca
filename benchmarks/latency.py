"""From submit to the visible end of a job, one at a time on an idle worker; and the same writes done bare."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from benchmarks.bare import BareChain
from benchmarks.figure import Figure, Measured
from benchmarks.ground import NOOP, Form, fresh_store, jobs, verify
from benchmarks.round_trip import round_trip
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.worker import Worker


async def measure(form: Form) -> Measured:
    """Alternate between the worker, the bare writes and a single insert."""
    count = form.size(300, 60)
    inserts: list[float] = []
    bare: list[float] = []
    ours: list[float] = []
    async with fresh_store("bare") as other, fresh_store() as store, _running(store):
        chain = BareChain(other)
        for _ in range(count):
            ours.append(await round_trip(store))
            bare.append(await _bare(other, chain, inserts))
        await verify(store)
    for samples in (inserts, bare, ours):
        samples.sort()
    p50, p99 = ours[count // 2], ours[int(count * 0.99)]
    note = f"{count} jobs of three no-op stages, one at a time"
    return [
        Figure("latency.p50", p50, "ms", bare[count // 2], 1.4, "at most", f"{note}; the same writes bare"),
        Figure("latency.p99", p99, "ms", p50, 3.0, "at most", "p99 over p50"),
        Figure(
            "latency.inserts", p50, "ms", inserts[count // 2], None, "at most", "over one majority insert"
        ),
    ]


@asynccontextmanager
async def _running(store: Store) -> AsyncIterator[None]:
    worker = Worker(store, [NOOP], WorkerSettings())
    async with anyio.create_task_group() as group:
        await group.start(worker.run)
        yield
        worker.stop()


async def _bare(store: Store, chain: BareChain, inserts: list[float]) -> float:
    [job] = jobs(1)
    began = time.perf_counter()
    await store.db["jobs"].insert_one(job)
    inserts.append((time.perf_counter() - began) * 1e3)
    await chain.run([job])
    return (time.perf_counter() - began) * 1e3
