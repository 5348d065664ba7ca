"""Jobs and tasks in the database as the engine itself writes them, without a running worker."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from pipeline import Pipeline, transitions
from pipeline.model import Change, Submitted, Succeeded, Task, queue_name
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.store.commits import MAX_BATCH, Commits
from pipeline.submission import job_document
from tests.support import COUNTING

Doc = dict[str, Any]
MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)
"""A lease of this length has run out when it begins."""

IDLE: dict[str, Any] = {
    "host": "h",
    "pid": 1,
    "queues": [],
    "slots": 1,
    "sessions": [],
    "alive_for": timedelta(minutes=5),
}
"""A worker's record, as it registers."""


def queue(pipeline: Pipeline = COUNTING, position: int = 0) -> str:
    return queue_name(pipeline.name, pipeline.version, pipeline.stages[position].name)


@asynccontextmanager
async def committing(store: Store) -> AsyncIterator[Commits]:
    commits = store.commits()
    try:
        yield commits
    finally:
        await commits.close()


def submitted(job: Mapping[str, Any]) -> Submitted:
    return Submitted(
        job["_id"],
        job["tenant"],
        job["pipeline"],
        int(job["priority"]),
        job["run_at"],
        job["traceparent"],
        job["document"]["sha256"],
    )


async def admitted(
    store: Store,
    count: int = 1,
    *,
    pipeline: Pipeline = COUNTING,
    priorities: tuple[int, ...] = (0,),
    run_at: datetime | None = None,
    tenant: str = "default",
) -> list[str]:
    """Jobs with their first task ready; returns their ids. Priorities are dealt out in turn."""
    jobs = [
        job_document(
            pipeline.name,
            name="a.txt",
            content=b"one two three",
            priority=priorities[number % len(priorities)],
            run_at=run_at,
            tenant=tenant,
        )
        for number in range(count)
    ]
    await store.db["jobs"].insert_many(jobs)
    changes = [transitions.admit(submitted(job), pipeline, None) for job in jobs]
    async with committing(store) as commits:
        for start in range(0, count, MAX_BATCH):
            assert set(await commits.commit(changes[start : start + MAX_BATCH])) == {None}
    return [job["_id"] for job in jobs]


async def claimed(
    store: Store,
    count: int = 1,
    *,
    worker: str = "worker-1",
    lease_for: timedelta = MINUTE,
    pipeline: Pipeline = COUNTING,
) -> list[Task]:
    """New jobs of which a worker has just claimed the first task."""
    await admitted(store, count, pipeline=pipeline)
    tasks = await store.tasks.claim([queue(pipeline)], count, worker, lease_for)
    assert len(tasks) == count
    return tasks


async def completion(
    store: Store, task: Task, body: Mapping[str, Any] | None = None, *, pipeline: Pipeline = COUNTING
) -> Change:
    """The change that ends a task with this output."""
    prepared = await store.outputs.prepare(task, body or {"text": "one two three"}, Recipe(1))
    return transitions.complete(task, Succeeded(prepared, None), pipeline)


async def stored(store: Store, task: str) -> Doc:
    found = await store.db["tasks"].find_one({"_id": task})
    assert found is not None
    return found


async def violations(store: Store, grace: timedelta = AT_ONCE) -> dict[str, int]:
    """The promises that the audit finds broken, with how often; bytes of nobody count from the start."""
    return {each.promise: each.violations for each in await store.audit(grace) if each.violations}
