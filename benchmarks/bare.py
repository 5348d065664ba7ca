"""The references: the writes of a three-stage chain, done bare by the same driver on the same collections.

No claims, no leases to renew, no events, no stages: only what has to be durable before the next may begin.
A hop ends a task, stores its output and creates the next task, in one transaction; that is the least that
can be resumed after a crash without losing or doubling anything.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from benchmarks.ground import NOOP, PIPELINE
from pipeline.model import queue_name, task_id
from pipeline.store import Store

Doc = dict[str, Any]
STAGES = [stage.name for stage in NOOP.stages]
LEASE = timedelta(seconds=45)


class BareChain:
    """Runs batches of jobs through the three stages: four transactions a batch."""

    def __init__(self, store: Store) -> None:
        self._db = store.db
        self._client = store.db.client

    async def run(self, jobs: Sequence[Doc]) -> None:
        """Run submitted jobs to their end, together."""
        ids = [job["_id"] for job in jobs]
        async with self._client.start_session(causal_consistency=False) as session:
            await session.start_transaction()
            await self._admit(ids, session)
            await session.commit_transaction()
            for position in range(len(STAGES)):
                await session.start_transaction()
                await self._hop(ids, position, session)
                await session.commit_transaction()

    async def _admit(self, ids: list[str], session: AsyncClientSession) -> None:
        now = datetime.now(UTC)
        started = {
            "state": "running",
            "started_at": now,
            "pipeline_version": 1,
            "stages": STAGES,
            "commit": "0" * 24,
        }
        await self._db["jobs"].update_many(
            {"_id": {"$in": ids}, "state": "submitted"}, {"$set": started}, session=session
        )
        await self._db["tasks"].insert_many(
            [_task(job, 0, now) for job in ids], ordered=False, session=session
        )

    async def _hop(self, ids: list[str], position: int, session: AsyncClientSession) -> None:
        now, stage = datetime.now(UTC), STAGES[position]
        ended = {"state": "succeeded", "finished_at": now, "lease.worker": None, "lease.until": None}
        held = {"state": "running", "lease.claim_id": "bare", "lease.fence": 1}
        tasks = [task_id(job, stage, 1) for job in ids]
        await self._db["tasks"].update_many({"_id": {"$in": tasks}, **held}, {"$set": ended}, session=session)
        outputs = [_output(job, stage, position) for job in ids]
        await self._db["outputs"].insert_many(outputs, ordered=False, session=session)
        if position + 1 < len(STAGES):
            following = [_task(job, position + 1, now) for job in ids]
            await self._db["tasks"].insert_many(following, ordered=False, session=session)
        else:
            await self._db["jobs"].update_many(
                {"_id": {"$in": ids}, "state": "running"},
                {"$set": {"state": "succeeded", "finished_at": now, "commit": "0" * 24}},
                session=session,
            )


def _task(job: str, position: int, now: datetime) -> Doc:
    stage = STAGES[position]
    before = task_id(job, STAGES[position - 1], 1) if position else None
    return {
        "_id": task_id(job, stage, 1),
        "job": job,
        "tenant": "default",
        "pipeline": PIPELINE,
        "pipeline_version": 1,
        "stage": stage,
        "queue": queue_name(PIPELINE, 1, stage),
        "revision": 1,
        "inputs": dict.fromkeys(STAGES[:position], 1),
        "input": {"sha256": "0" * 64, "output": before},
        "priority": 0,
        "max_attempts": 3,
        "traceparent": None,
        "state": "running",
        "created_at": now,
        "run_at": now,
        "started_at": now,
        "attempt": 1,
        "deaths": 0,
        "lease": {"claim_id": "bare", "fence": 1, "worker": "bare", "until": now + LEASE},
        "progress": None,
        "errors": [],
        "commit": "0" * 24,
    }


def _output(job: str, stage: str, position: int) -> Doc:
    return {
        "_id": task_id(job, stage, 1),
        "job": job,
        "tenant": "default",
        "stage": stage,
        "revision": 1,
        "stage_version": 1,
        "claim_id": "bare",
        "fence": 1,
        "input_sha256": "0" * 64,
        "sha256": "0" * 64,
        "size": 7,
        "body": {"x": position + 1},
        "commit": "0" * 24,
    }
