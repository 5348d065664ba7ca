"""How long a tenant with a document now and then waits, beside one that has handed in thousands.

Several worker processes; a wait is from a job's creation to the start of its first stage.
"""

from contextlib import AsyncExitStack
from statistics import quantiles

import anyio

from benchmarks.databases import database
from benchmarks.figure import Figure
from benchmarks.filling import fill_submitted
from benchmarks.ground import Form, fresh_store, jobs
from benchmarks.stages import SHORT_WAIT, WAITING
from benchmarks.worker_process import until_registered, worker_process
from pipeline.store import Store

_WORKERS = 3
_LARGE, _SMALL = "large", "small"
_EVERY = 0.1
"""Seconds between two documents of the small tenant."""
_UNDER_WAY = 500
"""Jobs of the large tenant that have begun before the small one comes."""
_LOOK_AGAIN = 0.05
LONGEST = 0.5
"""Seconds that the small tenant may wait, 95 times of 100. In order of submission it would wait for all."""


async def measure(form: Form) -> list[Figure]:
    """Measure the small tenant's waits alone, then beside the large tenant."""
    count, times = form.size(10_000, 2_500), form.size(200, 30)
    async with fresh_store() as store:
        alone = await _waits(store, 0, times)
        beside = await _waits(store, count, times)
    note = (
        f"{times} documents of a small tenant beside {count:,} of a large one; {_WORKERS} worker processes, "
        f"stages of {1000 * SHORT_WAIT:.0f} ms"
    )
    return [
        Figure("fairness.p95", 1000 * beside, "ms", target=1000 * LONGEST, bound="at most", note=note),
        Figure("fairness.p95_alone", 1000 * alone, "ms", note="the same without the large tenant"),
    ]


async def _waits(beside: Store, large: int, times: int) -> float:
    """Return the small tenant's p95, in seconds."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(database(beside, f"beside_{large}"))
        await fill_submitted(store, large, pipeline=WAITING, tenant=_LARGE)
        workers = [
            await stack.enter_async_context(
                worker_process(store, f"fair-{number}", pipeline="benchmarks.stages:WAITING")
            )
            for number in range(_WORKERS)
        ]
        await until_registered(store, *workers)
        await _until(store, {"tenant": _LARGE, "state": {"$ne": "submitted"}}, min(large, _UNDER_WAY))
        await _submit(store, times)
        await _until(store, {"tenant": _SMALL, "state": "succeeded"}, times)
        if large and not await store.db["jobs"].find_one({"tenant": _LARGE, "state": "submitted"}):
            raise RuntimeError("the large tenant was done before the small one: nothing was measured")
        return quantiles(await _measured(store), n=20)[-1]


async def _submit(store: Store, times: int) -> None:
    for _ in range(times):
        await store.db["jobs"].insert_many(jobs(1, WAITING.name, _SMALL))
        await anyio.sleep(_EVERY)


async def _until(store: Store, query: dict[str, object], count: int) -> None:
    jobs_of = store.db["jobs"].count_documents
    with anyio.fail_after(120):
        while await jobs_of(query, limit=count + 1) < count:  # noqa: ASYNC110 -- workers are other processes
            await anyio.sleep(_LOOK_AGAIN)


async def _measured(store: Store) -> list[float]:
    """Return the small tenant's waits, in seconds."""
    first = {"tenant": _SMALL, "stage": WAITING.stages[0].name}
    began = {each["job"]: each["started_at"] async for each in store.db["tasks"].find(first)}
    submitted = store.db["jobs"].find({"tenant": _SMALL}, {"created_at": 1})
    return [(began[each["_id"]] - each["created_at"]).total_seconds() async for each in submitted]
