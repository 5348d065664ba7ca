"""Two releases of a pipeline side by side: a worker process of each, half of the jobs on either.

Against the same jobs on one release, which both workers run.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import anyio

from benchmarks.databases import database
from benchmarks.figure import Figure
from benchmarks.ground import Form, fresh_store, jobs, verify
from benchmarks.stages import EARLIER, LATER
from benchmarks.worker_process import until_registered, worker_process
from pipeline import Pipeline
from pipeline.store import Store

SLOTS = 64
_SETTLE = 1.0
_LOOK_AGAIN = 0.05
_NAMES = {EARLIER.version: "benchmarks.stages:EARLIER", LATER.version: "benchmarks.stages:LATER"}


async def measure(form: Form) -> list[Figure]:
    """Measure one release on both workers, then one on each."""
    count = form.size(6_000, 600)
    async with fresh_store() as store:
        alone = await _rate(store, (LATER, LATER), count)
        both = await _rate(store, (EARLIER, LATER), count)
    note = (
        f"{count:,} jobs, half of each release; reference: all of one; 2 worker processes, {SLOTS} slots each"
    )
    return [Figure("releases.side_by_side", both, "chains/s", alone, note=note)]


async def _rate(beside: Store, hosted: Sequence[Pipeline], count: int) -> float:
    """Return the chains in a second, from the insert of the first to the end of the last."""
    name = "_".join(f"release_{each.version}" for each in hosted)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(database(beside, name))
        workers = [
            await stack.enter_async_context(
                worker_process(store, f"w{position}", "--slots", str(SLOTS), pipeline=_NAMES[each.version])
            )
            for position, each in enumerate(hosted)
        ]
        await until_registered(store, *workers)
        await anyio.sleep(_SETTLE)
        submitted = [
            {**job, "pipeline_version": hosted[position % len(hosted)].version}
            for position, job in enumerate(jobs(count, LATER.name))
        ]
        started = datetime.now(UTC)
        await store.db["jobs"].insert_many(submitted, ordered=False)
        await _until_ended(store)
        if await store.db["jobs"].count_documents({"state": "succeeded"}) != count:
            raise RuntimeError("not all jobs have succeeded")
        [last] = await store.db["jobs"].find({}).sort("finished_at", -1).limit(1).to_list()
        await verify(store)
    ended: datetime = last["finished_at"].replace(tzinfo=UTC)
    return count / (ended - started).total_seconds()


async def _until_ended(store: Store) -> None:
    open_ = {"state": {"$in": ["submitted", "running"]}}
    with anyio.fail_after(120):
        while await store.db["jobs"].find_one(open_, {"_id": 1}):  # noqa: ASYNC110 -- by other processes
            await anyio.sleep(_LOOK_AGAIN)
