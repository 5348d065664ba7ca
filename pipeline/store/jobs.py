"""Jobs: inserted, read, listed, cancelled, tried again."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import anyio
import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from pipeline import decisions, updates
from pipeline.crashpoints import crash_point
from pipeline.errors import IdempotencyConflict, NotFound, StateConflict, StoreUnavailable, SubmissionError
from pipeline.model import FINAL_STATES, ids_of_job, ids_of_tenant, of_jobs
from pipeline.store.driver import UNSTORABLE, Client, Doc, translated

IDEMPOTENCY = timedelta(days=1)
"""How long an idempotency key stands for its job, unless that says otherwise."""

_OF_A_KEY = ("idempotency_key", "idempotency_hash", "idempotency_until")
_STANDARD = {"$add": ["$created_at", int(IDEMPOTENCY / timedelta(milliseconds=1))]}
_KEY_IS_OVER: Doc = {"$expr": {"$lte": [{"$ifNull": ["$idempotency_until", _STANDARD]}, "$$NOW"]}}

_PAUSE = 0.05
"""Seconds until an insert is tried again whose key is free now, or soon to be seen."""

_NESTED_TOO_DEEPLY = 15
"""Server code of a document with more than 200 levels."""
_OPEN = {"$nin": sorted(FINAL_STATES)}


class Jobs:
    """The collection `jobs`, with the tasks of a job beside it."""

    def __init__(self, client: Client, db: AsyncDatabase[Doc], timeout: float) -> None:
        self._client = client
        self._jobs = db["jobs"]
        self._tasks = db["tasks"]
        self._timeout = timeout

    @translated
    async def insert(self, job: Doc, *, tries: int = 20) -> tuple[Doc, bool]:
        """Insert a job; returns it and True, or the job that has its idempotency key already and False.

        One insert, majority acknowledged: when it returns, the job is not lost any more.

        Raises:
            IdempotencyConflict: the key was used with other content.
            SubmissionError: the database's validator refused the job, the message says which rule; or it
                holds what BSON cannot, such as a 65-bit integer.
            StoreUnavailable: it is not known, or the job that has its key is not durable yet, or again and
                again another's; `tries` times.
        """
        try:
            await self._jobs.insert_one(job)
        except DuplicateKeyError as error:
            if "idempotency_key" not in (error.details or {}).get("keyPattern", {}):
                raise SubmissionError(f"there is a job {job['_id']} already") from error
            earlier = await self._earlier(job)
            if earlier is None and not tries:
                raise StoreUnavailable("the job that has this idempotency key is not durable yet") from error
            if earlier is None:
                await anyio.sleep(_PAUSE)
                return await self.insert(job, tries=tries - 1)
            if earlier.get("idempotency_hash") != job["idempotency_hash"]:
                raise IdempotencyConflict from error
            return earlier, False
        except WriteError as error:
            raise SubmissionError(f"the job is not valid: {_reason(error)}") from error
        except UNSTORABLE as error:
            raise SubmissionError(f"MongoDB cannot store this job: {error}") from error
        except OperationFailure as error:
            if error.code != _NESTED_TOO_DEEPLY:
                raise
            raise SubmissionError("MongoDB cannot store this job: it is nested too deeply") from error
        return job, True

    async def _earlier(self, job: Doc) -> Doc | None:
        """Return the job that has this one's key; None when its time was over, or it is not durable yet."""
        key = {"tenant": job["tenant"], "idempotency_key": job["idempotency_key"]}
        await self._jobs.update_one({**key, **_KEY_IS_OVER}, {"$unset": dict.fromkeys(_OF_A_KEY, "")})
        return await self._jobs.find_one(key)

    @translated
    async def get(self, job: str, tenant: str) -> Doc:
        """Return one job without inline bytes.

        Raises:
            NotFound: this tenant has no such job.
        """
        return await self._one(job, tenant, {"document.inline": 0})

    @translated
    async def submitted(self, job: str, tenant: str) -> Doc:
        """Return what was submitted with a job: its document, inline bytes included, and params.

        Raises:
            NotFound: this tenant has no such job.
        """
        return await self._one(job, tenant, {"document": 1, "params": 1})

    async def _one(self, job: str, tenant: str, fields: Doc) -> Doc:
        found = await self._jobs.find_one({"_id": job, "tenant": tenant}, fields)
        if found is None:
            raise NotFound(f"there is no job {job}")
        return found

    @translated
    async def tasks(self, jobs: list[str]) -> list[Doc]:
        """Return all tasks of these jobs, oldest revision first."""
        found = await self._tasks.find(of_jobs(jobs)).to_list()
        return sorted(found, key=lambda task: int(task["revision"]))

    @translated
    async def newest(
        self, tenant: str, *, limit: int, before: str | None, state: str | None, batch: str | None = None
    ) -> list[Doc]:
        """Return a tenant's jobs, newest first: of one batch, older than the id `before`."""
        own = ids_of_tenant(tenant)
        query: Doc = {"_id": own if before is None else {**own, "$lt": min(before, own["$lt"])}}
        if batch is not None:  # each state has its place in the batch's index, and is in order there
            query |= {"batch": batch, "state": {"$in": [*updates.OPEN_JOB, *sorted(FINAL_STATES)]}}
        if state is not None:
            query |= {"tenant": tenant, "state": state}
        newest = self._jobs.find(query, {"document.inline": 0}).sort("_id", -1).limit(limit)
        return await newest.to_list()

    @translated
    async def cancel(self, job: str, tenant: str) -> None:
        """Cancel a job and its current task in one transaction.

        A holder of the task finds its compare-and-set refused, and stops.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: the job has ended before.
        """

        async def run(session: AsyncClientSession) -> None:
            # The task first: events come in this order, and the job's end is the last that watchers hear.
            current = {"_id": ids_of_job(job), "tenant": tenant, "state": {"$in": ["ready", "running"]}}
            await self._tasks.update_many(current, [decisions.cancel_task()], session=session)
            match = {"_id": job, "tenant": tenant, "state": _OPEN}
            result = await self._jobs.update_one(match, [decisions.cancel_job()], session=session)
            if not result.matched_count:
                raise await self._refusal(job, tenant, "cancelled", session)
            crash_point("cancel.written", lambda: [job])

        await self._transaction(run)

    @translated
    async def retry(self, job: str, tenant: str) -> None:
        """Try a failed job's failed task again, in one transaction: same revision, checkpoints kept.

        One that failed before it had a task is submitted again.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: the job has not failed.
        """

        async def run(session: AsyncClientSession) -> None:
            begun = await self._tasks.find_one({"_id": ids_of_job(job)}, {"_id": 1}, session=session)
            update = decisions.reopen_job() if begun else decisions.resubmit_job()
            match = {"_id": job, "tenant": tenant, "state": "failed"}
            result = await self._jobs.update_one(match, [update], session=session)
            if not result.matched_count:
                raise await self._refusal(job, tenant, "tried again", session)
            if not begun:
                return
            # The newest one: an earlier revision may have failed before.
            reopened = await self._tasks.find_one_and_update(
                {"_id": ids_of_job(job), "state": "failed"},
                [decisions.reopen_task()],
                sort=[("revision", -1)],
                session=session,
            )
            if reopened is None:
                raise StateConflict(f"job {job} has no failed task: run `millrace verify`")

        await self._transaction(run)

    async def _transaction(self, run: Callable[[AsyncClientSession], Awaitable[None]]) -> None:
        async with self._client.start_session() as session:
            with pymongo.timeout(self._timeout):
                await session.with_transaction(run)

    async def _refusal(
        self, job: str, tenant: str, verb: str, session: AsyncClientSession
    ) -> NotFound | StateConflict:
        found = await self._jobs.find_one({"_id": job, "tenant": tenant}, {"state": 1}, session=session)
        if found is None:
            return NotFound(f"there is no job {job}")
        return StateConflict(f"job {job} is {found['state']}: it cannot be {verb}")


def idempotency_hash(job: Mapping[str, Any]) -> str:
    """Return the hash of what must be the same when an idempotency key is used again."""
    params = json.dumps(job.get("params", {}), sort_keys=True, default=repr)
    parts = [job["pipeline"], job["document"]["sha256"], params, *sorted(job.get("skip", ()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reason(error: WriteError) -> str:
    """Find the property or rule at fault in what MongoDB says about a refused document."""
    details = str((error.details or {}).get("errInfo", error))
    names = re.findall(r"'propertyName': '([^']+)'", details)
    missing = re.findall(r"'missingProperties': \[([^\]]+)\]", details)
    extra = re.findall(r"'additionalProperties': \[([^\]]+)\]", details)
    told = [f"{name} has a wrong value" for name in dict.fromkeys(names)]
    told += [f"{name} is missing" for name in missing] + [f"{name} is unknown" for name in extra]
    return "; ".join(told) or "it breaks a rule of the collection's validator"
