"""Long queues, made in bulk: what waits was never touched by a worker, so nothing but its number matters."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.ground import NOOP, jobs
from pipeline import Pipeline, transitions
from pipeline.model import DEFAULT_TENANT, Submitted
from pipeline.store import Store

Doc = dict[str, Any]

BATCH = 10_000


async def fill_submitted(
    store: Store, count: int, *, pipeline: Pipeline = NOOP, tenant: str = DEFAULT_TENANT
) -> None:
    """Insert jobs that wait for admission."""
    for size in _batches(count):
        await _insert(store, "jobs", jobs(size, pipeline.name, tenant))


async def fill_ready(
    store: Store, count: int, *, pipeline: Pipeline = NOOP, tenant: str = DEFAULT_TENANT
) -> None:
    """Insert admitted jobs, each with its first task ready."""
    for size in _batches(count):
        now = datetime.now(UTC)
        waiting = jobs(size, pipeline.name, tenant)
        await _insert(store, "tasks", [_first_task(job, pipeline, now) for job in waiting])
        started = {
            "state": "running",
            "started_at": now,
            "pipeline_version": pipeline.version,
            "stages": list(pipeline.names),
        }
        await _insert(store, "jobs", [{**job, **started} for job in waiting])


def _first_task(job: Doc, pipeline: Pipeline, now: datetime) -> Doc:
    submitted = Submitted(
        job["_id"], job["tenant"], job["pipeline"], 0, None, None, job["document"]["sha256"]
    )
    [(_, task)] = transitions.admit(submitted, pipeline, None).creates
    return {**task, "run_at": now, "created_at": now}


def _batches(count: int) -> Iterator[int]:
    for start in range(0, count, BATCH):
        yield min(BATCH, count - start)


async def _insert(store: Store, collection: str, documents: Sequence[Doc]) -> None:
    await store.db[collection].insert_many(documents, ordered=False, bypass_document_validation=True)
