"""Repair what the audit finds, where that is safe, also while workers run.

Removed is only what nothing refers to any more. A state changes only by a `Change` that is guarded by
what was read. Everything else is left to people: the audit's advice says what they can do.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pymongo
from pydantic import BaseModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.errors import LeaseLost, StateConflict
from pipeline.model import ids_of_job, job_of
from pipeline.store.audit import Audit, Finding
from pipeline.store.commits import Commits
from pipeline.store.documents import Documents
from pipeline.store.driver import Client, Doc, translated
from pipeline.store.file_promises import chunks_are_whole, files_have_owners
from pipeline.store.job_promises import jobs_have_work
from pipeline.store.job_repair import Remedy, decide, read_case
from pipeline.store.scan import Check, join, scan, snapshot
from pipeline.store.workers import DEAD_FOR, Workers

_STEPS = 3
"""Remedies that one job can need: it becomes running, and ended, and what was open is closed."""


Removal = Callable[[str, AsyncClientSession], Awaitable[Counter[str]]]
"""Removes what has an id, if it still may, in a transaction; returns what, and how much."""


class Repair(BaseModel):
    """What was repaired of one promise."""

    promise: str
    repaired: int
    done: list[str]
    """What, and how often: `cancelled what an ended job had left open: 2`."""
    left: int
    """Violations that are still there."""
    why: list[str]
    """Why they were left, and what can be done about them."""


class Verification(BaseModel):
    """What `millrace verify` tells."""

    findings: list[Finding]
    """Of every promise; after the repair, when there was one."""
    repairs: list[Repair] = []
    """Of every promise of which something was broken or cleared away; empty when no repair was asked for."""


class Repairs:
    """One pass of repairs, and the audit after it.

    Args:
        client: A connected client.
        db: The database.
        commits: A session of its own for the changes of state.
        timeout: Seconds that one transaction may take.
        grace: Age from which bytes that belong to nobody are removed.
    """

    def __init__(
        self, client: Client, db: AsyncDatabase[Doc], commits: Commits, timeout: float, grace: timedelta
    ) -> None:
        self._client = client
        self._db = db
        self._commits = commits
        self._timeout = timeout
        self._grace = grace
        self._documents = Documents(db)
        self._done: dict[str, Counter[str]] = {}
        self._left: dict[str, Counter[str]] = {}

    @translated
    async def run(self) -> Verification:
        """Repair everything that can be, then check everything.

        Raises:
            StoreError: a snapshot can't be kept for long enough; the message says what to do. What was
                repaired before stays repaired.
            StoreUnavailable: the server is away.
        """
        await self._remove_what_has_no_job()
        await self._remove_checkpoints_without_tasks()
        await self._mend_jobs()
        await self._remove_bytes_of_nobody()
        await self._forget_dead_workers()
        findings = await Audit(self._client, self._db, self._grace).run()
        return Verification(findings=findings, repairs=self._report(findings))

    async def _remove_what_has_no_job(self) -> None:
        """Remove tasks, outputs and checkpoints of jobs that are gone.

        Safe: a job is there before anything that belongs to it, and its id never comes back. A worker
        that runs such a task finds its compare-and-set refused.
        """
        orphan = [join("jobs", "job", "_id", "owner"), {"$match": {"owner": []}}]
        removed: set[str] = set()
        for collection in ("tasks", "outputs", "checkpoints"):
            for found in await self._violating(scan(collection, [{"$project": {"job": 1}}, *orphan])):
                job = job_of(found)
                if job not in removed:
                    removed.add(job)
                    await self._in_transaction("I3", self._remove_job, job)

    async def _remove_job(self, job: str, session: AsyncClientSession) -> Counter[str]:
        done: Counter[str] = Counter()
        if await self._db["jobs"].find_one({"_id": job}, {"_id": 1}, session=session):
            return done
        own = {"_id": ids_of_job(job)}
        for collection in ("tasks", "outputs", "checkpoints"):
            result = await self._db[collection].delete_many(own, session=session)
            done[f"removed {collection} of jobs that are gone"] += result.deleted_count
        return done

    async def _remove_checkpoints_without_tasks(self) -> None:
        """Remove checkpoints whose task is gone.

        Safe: a checkpoint is written in one transaction with its task. A task that is made again under
        the same id must not find parts that it never saved.
        """
        orphan = [{"$project": {"task": 1}}, join("tasks", "task", "_id", "owner"), {"$match": {"owner": []}}]
        for checkpoint in await self._violating(scan("checkpoints", orphan)):
            await self._in_transaction("I4", self._remove_checkpoint, checkpoint)

    async def _remove_checkpoint(self, checkpoint: str, session: AsyncClientSession) -> Counter[str]:
        found = await self._db["checkpoints"].find_one({"_id": checkpoint}, {"task": 1}, session=session)
        if found is None or await self._db["tasks"].find_one({"_id": found["task"]}, session=session):
            return Counter()
        result = await self._db["checkpoints"].delete_one({"_id": checkpoint}, session=session)
        return Counter({"removed checkpoints of tasks that are gone": result.deleted_count})

    async def _mend_jobs(self) -> None:
        """Bring jobs and their tasks together again; `job_repair` argues why each remedy is safe."""
        for job in await self._violating(jobs_have_work()):
            for _ in range(_STEPS):
                if not await self._mend(job):
                    break

    async def _mend(self, job: str) -> bool:
        """Apply one remedy; False when there is no more to do."""
        async with snapshot(self._client, self._db) as database:
            case = await read_case(database, job)
        remedy = decide(case) if case else None
        if isinstance(remedy, str):
            self._note(self._left, "I1", remedy)
        if not isinstance(remedy, Remedy):
            return False
        [result] = await self._commits.commit([remedy.change])
        if isinstance(result, LeaseLost | StateConflict):
            return False  # somebody wrote to the job meanwhile: it is as it should be, or the audit tells
        if result is not None:
            raise result
        self._note(self._done, "I1", remedy.done)
        return True

    async def _remove_bytes_of_nobody(self) -> None:
        """Remove files and chunks to which nothing refers, once they are older than the grace period.

        Safe: whoever stores bytes inserts the job within that time.
        """
        swept = await self._documents.sweep(self._grace)
        self._note(self._done, "I7", "removed abandoned uploads", swept)
        for file in await self._violating(files_have_owners(self._grace)):
            if await self._documents.discard_unused(file):
                self._note(self._done, "I7", "removed files of nobody")
        for file in await self._violating(chunks_are_whole(self._grace)):
            if await self._db["documents.files"].find_one({"_id": file}, {"_id": 1}):
                continue  # a file with too few bytes: nothing brings them back
            if await self._documents.discard_unused(file):
                self._note(self._done, "I7", "removed chunks without a file")

    async def _forget_dead_workers(self) -> None:
        """Remove the records of workers that are silent for so long that every lease of theirs has ended."""
        forgotten = await Workers(self._db).forget(DEAD_FOR)
        self._note(self._done, "I11", "removed records of dead workers", forgotten)

    async def _violating(self, check: Check) -> list[Any]:
        """Return the ids of what violates a check in a snapshot, which ends before anything is repaired."""
        async with snapshot(self._client, self._db) as database:
            return [found async for page in check(database) for found in page.violating]

    async def _in_transaction(self, promise: str, remove: Removal, key: str) -> None:
        async with self._client.start_session() as session:
            with pymongo.timeout(self._timeout):
                done = await session.with_transaction(lambda session: remove(key, session))
        for words, times in done.items():
            self._note(self._done, promise, words, times)

    @staticmethod
    def _note(book: dict[str, Counter[str]], promise: str, words: str, times: int = 1) -> None:
        if times:
            book.setdefault(promise, Counter())[words] += times

    def _report(self, findings: list[Finding]) -> list[Repair]:
        left = {finding.promise: finding for finding in findings if finding.violations}
        return [self._of(promise, left.get(promise)) for promise in sorted({*self._done, *left})]

    def _of(self, promise: str, left: Finding | None) -> Repair:
        done = self._done.get(promise, Counter())
        reasons = [_told(self._left.get(promise, Counter())), [left.advice]] if left else []
        return Repair(
            promise=promise,
            repaired=done.total(),
            done=_told(done),
            left=left.violations if left else 0,
            why=[line for lines in reasons for line in lines],
        )


def _told(counted: Counter[str]) -> list[str]:
    return [f"{words}: {times}" for words, times in counted.items()]
