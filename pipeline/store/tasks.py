"""Tasks: found, claimed, renewed, rescued. Each verb is one or two indexed commands."""

import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pymongo
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from pipeline import transitions, updates
from pipeline.crashpoints import crash_point
from pipeline.errors import StoreUnavailable
from pipeline.limit import Account, Limit, Refusal
from pipeline.model import Again, DocumentReference, Input, Lease, Task
from pipeline.progress import Progress
from pipeline.store.driver import Doc, is_outage, reading, translated, until_first
from pipeline.store.permits import Permits, Wanted
from pipeline.store.ponds import STAGE_QUEUE

_log = logging.getLogger("millrace.store")

Renewal = tuple[str, Lease, Progress | None]
"""A task, its lease, and progress to write with the renewal."""

SMALL_BODY = 64 * 1024
"""Bytes of the largest output that is read with the claim of the task that works on it."""

CLAIM_SECONDS = 3.0
"""Longest that a claim may take; what it did is found out then, and the next one asks for other tasks."""

CANDIDATE = dict.fromkeys(
    ("attempt", "max_attempts", "deaths", "job", "queue", "priority", "run_at", "key", "cost", "service"), 1
)
_OF_JOB = {"document": 1, "params": 1, "batch": 1}
_CLAIM_ORDER = [("priority", pymongo.DESCENDING), ("run_at", pymongo.ASCENDING)]
_DUE = {"$expr": {"$lte": ["$run_at", "$$NOW"]}}
_EXPIRED = {"$expr": {"$lte": ["$lease.until", "$$NOW"]}}


@dataclass(slots=True)
class _Ask:
    """A claim on its way."""

    tasks: list[str]
    at: float = field(default_factory=time.monotonic)
    done_at: Any = None
    """The operation time at which it was done; None while its answer isn't known."""
    reserved: Mapping[str, Mapping[Account, int]] = field(default_factory=dict)
    """What each task takes of rates, if it is claimed."""


class Tasks:
    """The hot queue."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._db = db
        self._tasks = db["tasks"]
        self._jobs = db["jobs"]
        self._outputs = db["outputs"]
        self._contended = self._blocked = False
        self._unread: dict[str, _Ask] = {}
        """Claims of which the answer is not known yet, by claim_id."""

    @translated
    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease_for: timedelta) -> list[Task]:
        """Claim at most `limit` ready and due tasks of these queues, best first.

        More candidates are read than are wanted, so that many workers do not fight for the same head of
        the queue; tasks lost to others are simply not among the returned. An empty list while `limit` > 0
        says that no candidate was left.
        """
        while True:
            found = one_kind(await self.ready(queues, limit * 2))
            if not (found or self.unanswered):
                return []
            claimed = await self.take([each["_id"] for each in found], limit, worker, lease_for)
            if claimed:
                return claimed

    @translated
    async def ready(self, queues: Sequence[str], limit: int) -> list[Doc]:
        """Return the best tasks that are ready and due, for a claim: what orders them, and their job."""
        wanted = {"state": "ready", "queue": {"$in": list(queues)}, **_DUE}
        candidates = self._tasks.find(wanted, CANDIDATE).sort(_CLAIM_ORDER).limit(limit)
        return await candidates.to_list()

    @property
    def unanswered(self) -> bool:
        """True while an outage came between a claim and its answer."""
        return bool(self._unread)

    @translated
    async def take(
        self,
        candidates: Sequence[str],
        limit: int,
        worker: str,
        lease_for: timedelta,
        *,
        from_ponds: bool = False,
    ) -> list[Task]:
        """Claim at most `limit` of these tasks; returns what was got, also by claims not yet answered.

        `from_ponds`: some of them may be in a pond, and leave it.

        Atomic for each task: a compare-and-set from `ready` to `running`. Once a race was lost some of the
        candidates are taken at random.
        """
        if not self._unread:
            extra = {"queue": STAGE_QUEUE} if from_ponds else {}
            await self._take(list(candidates), limit, worker, lease_for, extra)
        return await self._answers()

    @translated
    async def take_within(
        self,
        permits: Permits,
        wanted: Sequence[Wanted],
        limits: Mapping[str, Limit],
        worker: str,
        lease_for: timedelta,
    ) -> tuple[list[Task], Mapping[str, Refusal]]:
        """Claim those of these tasks that their limits let, the first ones first, in one transaction.

        Returns what was got, also by claims not yet answered, and why others were refused.
        """
        refused: Mapping[str, Refusal] = {}
        if not self._unread:
            claim_id = uuid4().hex
            ask = self._unread[claim_id] = _Ask([each.task for each in wanted])
            ask.reserved = {each.task: takes for each in wanted if (takes := each.takes(limits))}
            update = {**_claimed(claim_id, worker, lease_for), "queue": STAGE_QUEUE}
            try:
                with pymongo.timeout(CLAIM_SECONDS):
                    grant = await permits.grant(wanted, limits, update)
                ask.tasks, refused = grant.claimed, grant.refused
            except StoreUnavailable:
                self._blocked = True
        return await self._answers(), refused

    async def _take(self, ids: list[str], limit: int, worker: str, lease_for: timedelta, extra: Doc) -> None:
        """Compare-and-set the best candidates; after a lost race, or a wait for a lock, some at random."""
        count = min(limit, len(ids))
        if self._blocked:
            count = max(1, count // 2)  # so that what is locked is among them less and less often
        chosen = random.sample(ids, count) if self._contended or self._blocked else ids[:count]
        claim_id = uuid4().hex
        ask = self._unread[claim_id] = _Ask(chosen)
        try:
            # Bounded: a task that a killed process left locked must not hold up the others.
            async with reading(self._db.client, None) as session:
                with pymongo.timeout(CLAIM_SECONDS):
                    await self._tasks.update_many(
                        {"_id": {"$in": chosen}, "state": "ready", **_DUE},
                        [{"$set": {**_claimed(claim_id, worker, lease_for), **extra}}],
                        session=session,
                    )
                ask.done_at = session.operation_time
            self._blocked = False
        except PyMongoError as error:
            # update_many is not retried by the driver: what it did is read back by its claim_id.
            if not is_outage(error):
                raise
            self._blocked = True
        crash_point("claim.sent", lambda: chosen)

    async def _answers(self) -> list[Task]:
        """Return what the claims so far have got; they are kept until that is known."""
        asked = {task for ask in self._unread.values() for task in ask.tasks}
        query = {"_id": {"$in": sorted(asked)}, "lease.claim_id": {"$in": list(self._unread)}}
        async with reading(self._db.client, None) as session:
            # A new primary serves majority reads that are older than what the one before it has confirmed;
            # and what an unanswered claim wrote may not be majority-committed yet.
            for ask in self._unread.values():
                done_at = ask.done_at or (await self._db.command("ping"))["operationTime"]
                session.advance_operation_time(done_at)
            taken = await self._tasks.find(query, session=session).to_list()
            tasks = await self._with_jobs(taken, session) if taken else []
        self._contended = len(taken) < len(asked)
        self._unread.clear()
        crash_point("claim.taken", lambda: [task.id for task in tasks])
        return tasks

    async def _with_jobs(self, tasks: list[Doc], session: AsyncClientSession) -> list[Task]:
        wanted = {"_id": {"$in": [task["job"] for task in tasks]}}
        jobs = {job["_id"]: job async for job in self._jobs.find(wanted, _OF_JOB, session=session)}
        ordered = sorted(tasks, key=lambda task: (-task["priority"], task["run_at"]))
        for task in ordered:
            if task["job"] not in jobs:
                _log.error("a task has no job: run `millrace verify`", extra={"task": task["_id"]})
        bodies = await self._small_bodies(tasks, session)
        return [
            task_of(
                task,
                jobs[task["job"]],
                bodies,
                ask.at,
                session.operation_time,
                reserved=ask.reserved.get(task["_id"]),
            )
            for task in ordered
            if task["job"] in jobs
            for ask in [self._unread[task["lease"]["claim_id"]]]
        ]

    async def _small_bodies(self, tasks: list[Doc], session: AsyncClientSession) -> dict[str, Doc]:
        """Return the inputs that are small, so that many short tasks cost one read instead of one each."""
        ids = [task["input"]["output"] for task in tasks if task["input"]["output"]]
        if not ids:
            return {}
        body = {"$cond": [{"$lte": ["$size", SMALL_BODY]}, "$body", "$$REMOVE"]}
        found = self._outputs.find({"_id": {"$in": ids}}, {"body": body}, session=session)
        return {each["_id"]: each["body"] async for each in found if "body" in each}

    @translated
    async def renew(self, renewals: Sequence[Renewal], lease_for: timedelta) -> list[str]:
        """Renew leases and write progress in one command; returns the ids of tasks whose lease is lost.

        Raises:
            StoreUnavailable: it took longer than an eighth of a lease. The database may be away, or one of
                the tasks locked by another transaction: renewed alone, the others are not held up by it.
        """
        writes = [
            UpdateOne(transitions.held(task, lease), [{"$set": _renewed(lease_for, progress)}])
            for task, lease, progress in renewals
        ]
        async with reading(
            self._db.client, None
        ) as session:  # what it reads then is not older than its write
            with pymongo.timeout(lease_for.total_seconds() / 8):
                result = await self._tasks.bulk_write(writes, ordered=False, session=session)
            crash_point("renew.sent", lambda: [task for task, _, _ in renewals])
            if result.matched_count == len(writes):
                return []
            claims = {task: lease.claim_id for task, lease, _ in renewals}
            query = {"_id": {"$in": list(claims)}, "state": "running"}
            found = self._tasks.find(query, {"lease": 1}, session=session)
            current = {each["_id"]: each async for each in found}
        return [
            task
            for task, claim in claims.items()
            if current.get(task, {}).get("lease", {}).get("claim_id") != claim
        ]

    @translated
    async def expired(self, limit: int) -> list[Doc]:
        """Return running tasks whose lease has run out by the server's clock, oldest first."""
        query = {**_alarms("running"), **_EXPIRED}
        expired = self._tasks.find(query).sort("lease.until", 1).limit(limit)
        return await expired.to_list()

    @translated
    async def of_worker(self, worker: str) -> list[Doc]:
        """Return the running tasks that this worker holds."""
        return await self._tasks.find({**_alarms("running"), "lease.worker": worker}).to_list()

    @translated
    async def next_due(self) -> timedelta | None:
        """Return in how long the next delayed task is due; None when there is none. Never negative."""
        later = {**_alarms("ready"), "$expr": {"$gt": ["$lease.until", "$$NOW"]}}
        return await until_first(self._tasks, later, "lease.until")

    @translated
    async def next_lease_end(self) -> timedelta | None:
        """Return in how long the next lease ends; None when nothing runs. Never negative."""
        return await until_first(self._tasks, _alarms("running"), "lease.until")


def _claimed(claim_id: str, worker: str, lease_for: timedelta) -> Doc:
    lease = {
        "claim_id": claim_id,
        "fence": {"$add": ["$lease.fence", 1]},
        "worker": updates.literal(worker),
        "until": updates.after(lease_for),
    }
    return {
        "state": "running",
        "attempt": {"$add": ["$attempt", 1]},
        "lease": lease,
        "started_at": "$$NOW",
    }


def _alarms(state: str) -> Doc:
    """Return the filter of tasks about which something is due at a time, as the index `alarm` has them."""
    return {"state": state, "lease.until": {"$type": "date"}}


def _renewed(lease_for: timedelta, progress: Progress | None) -> Doc:
    update: Doc = {"lease.until": updates.after(lease_for)}
    if progress is not None:
        update["progress"] = updates.literal(asdict(progress))
    return update


def runs_alone(task: Mapping[str, Any]) -> bool:
    """Tell whether the attempt that would begin now is the last, after a death of an earlier one's worker."""
    return bool(task.get("deaths")) and task["attempt"] + 1 >= task["max_attempts"]


def one_kind(candidates: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the candidates before the first that has to run alone; or that one, if it is the best."""
    for position, each in enumerate(candidates):
        if runs_alone(each):
            return candidates[: max(1, position)]
    return candidates


def task_of(
    task: Mapping[str, Any],
    job: Mapping[str, Any],
    bodies: Mapping[str, Doc],
    asked_at: float,
    as_of: Any,
    *,
    fresh: bool = False,
    reserved: Mapping[Account, int] | None = None,
) -> Task:
    """Return a claimed task as a value, from its document and its job's; `bodies` are outputs by id."""
    lease = task["lease"]
    again = again_of(task)
    return Task(
        id=task["_id"],
        job=task["job"],
        tenant=task["tenant"],
        pipeline=task["pipeline"],
        pipeline_version=int(task["pipeline_version"]),
        stage=task["stage"],
        revision=task["revision"],
        priority=int(task["priority"]),
        attempt=task["attempt"],
        max_attempts=task["max_attempts"],
        lease=Lease(lease["claim_id"], lease["fence"], lease["worker"], asked_at),
        traceparent=task.get("traceparent"),
        document=document_reference(job["document"]),
        params=job.get("params", {}) if again is None or again.params is None else again.params,
        batch=job.get("batch"),
        inputs=task["inputs"],
        input=Input(task["input"]["sha256"], bodies.get(task["input"]["output"])),
        as_of=as_of,
        fresh=fresh,
        skip=frozenset(task.get("skip", ())),
        alone=bool(task.get("deaths")) and task["attempt"] >= task["max_attempts"],
        reserved=reserved or {},
        again=again,
    )


def again_of(task: Mapping[str, Any]) -> Again | None:
    """Return how a task's revision was begun, as it is stored with it; None of the first one."""
    again = task.get("again")
    return None if again is None else Again(again["anew"], again.get("params"))


def document_reference(stored: Mapping[str, Any]) -> DocumentReference:
    """Return a job's document as a value."""
    return DocumentReference(
        name=stored["name"],
        media_type=stored["type"],
        size=int(stored["size"]),
        sha256=stored["sha256"],
        file_id=stored.get("file_id"),
        inline=stored.get("inline"),
    )
