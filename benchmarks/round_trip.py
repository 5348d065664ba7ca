"""One job, from its submission to the news of its end."""

import time

from benchmarks.ground import ENDS, jobs
from pipeline.store import Store


async def round_trip(store: Store) -> float:
    """Submit a job of three stages that do nothing, and hear of its end; returns the milliseconds."""
    [job] = jobs(1)
    async with await store.db["jobs"].watch(ENDS) as ends:
        began = time.perf_counter()
        await store.db["jobs"].insert_one(job)
        async for end in ends:
            if end["documentKey"]["_id"] == job["_id"]:
                break
        return (time.perf_counter() - began) * 1e3
