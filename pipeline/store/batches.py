"""Batches: many jobs as one, with totals and one end.

A job names its batch; nothing counts along. What a batch has is read from the index of its jobs, and its end
is found after a job's: none is open, and all are there. Then a compare-and-set ends it, once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, WriteError

from pipeline import decisions, updates
from pipeline.errors import NotFound, StateConflict, SubmissionError
from pipeline.model import ids_of_tenant, of_jobs
from pipeline.store.driver import UNSTORABLE, Client, Doc, translated
from pipeline.store.on_demand import OnDemand
from pipeline.updates import OPEN_JOB

AT_ONCE = 50
"""Jobs that are cancelled in one transaction: more would meet the locks of more that run."""

_CLOSED: Doc = {"state": "running", "total": {"$type": "number"}}


class Batches:
    """The collection `batches`, with the jobs that name them."""

    def __init__(self, client: Client, db: AsyncDatabase[Doc], timeout: float) -> None:
        self._client = client
        self._batches = db["batches"]
        self._jobs = db["jobs"]
        self._indexes = OnDemand(db)
        self._tasks = db["tasks"]
        self._timeout = timeout

    @translated
    async def insert(self, batch: Doc) -> None:
        """Insert a batch.

        Raises:
            SubmissionError: it is not valid.
        """
        await self._indexes.require("batch")
        try:
            await self._batches.insert_one(batch)
        except DuplicateKeyError as error:
            raise SubmissionError(f"there is a batch {batch['_id']} already") from error
        except (WriteError, *UNSTORABLE) as error:
            raise SubmissionError(f"the batch is not valid: {error}") from error

    @translated
    async def get(self, batch: str, tenant: str) -> Doc:
        """Return one batch.

        Raises:
            NotFound: this tenant has no such batch.
        """
        found = await self._batches.find_one({"_id": batch, "tenant": tenant})
        if found is None:
            raise NotFound(f"there is no batch {batch}")
        return found

    @translated
    async def newest(self, tenant: str, *, limit: int, before: str | None) -> list[Doc]:
        """Return a tenant's batches, newest first, those older than the id `before` only."""
        own = ids_of_tenant(tenant)
        query: Doc = {"_id": own if before is None else {**own, "$lt": min(before, own["$lt"])}}
        return await self._batches.find(query).sort("_id", -1).limit(limit).to_list()

    @translated
    async def counts(self, batches: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return how many jobs each batch has, by state; by index alone."""
        stages: list[Mapping[str, Any]] = [
            {"$match": {"batch": {"$in": list(batches)}}},
            {"$group": {"_id": {"batch": "$batch", "state": "$state"}, "jobs": {"$sum": 1}}},
        ]
        await self._indexes.require("batch")
        counted: dict[str, dict[str, int]] = {batch: {} for batch in batches}
        async for row in await self._jobs.aggregate(stages):
            counted[row["_id"]["batch"]][row["_id"]["state"]] = row["jobs"]
        return counted

    @translated
    async def close(self, batch: str, tenant: str) -> None:
        """Let a batch have the jobs that it has now; a total that was given before doesn't count any more.

        Raises:
            NotFound: this tenant has no such batch.
            StateConflict: it has ended before.
        """
        await self._set(batch, tenant, {"total": await self._size(batch)}, "closed")

    @translated
    async def ask_to_cancel(self, batch: str, tenant: str) -> None:
        """Note that a batch is to be cancelled, and close it; its jobs are cancelled by `cancel_open`.

        Raises:
            NotFound: this tenant has no such batch.
            StateConflict: it has ended before.
        """
        await self._set(batch, tenant, {"cancelled": True, "total": await self._size(batch)}, "cancelled")

    async def _size(self, batch: str) -> int:
        await self._indexes.require("batch")
        return await self._jobs.count_documents({"batch": batch})

    async def _set(self, batch: str, tenant: str, fields: Doc, verb: str) -> None:
        match = {"_id": batch, "tenant": tenant, "state": "running"}
        result = await self._batches.update_one(match, {"$set": fields})
        if not result.matched_count:
            found = await self.get(batch, tenant)
            raise StateConflict(f"batch {batch} is {found['state']}: it cannot be {verb}")

    @translated
    async def cancel_open(self, batch: str) -> bool:
        """Cancel some of a batch's open jobs and their tasks in one transaction; False when none is open."""
        await self._indexes.require("batch")
        query = {"batch": batch, "state": {"$in": list(OPEN_JOB)}}
        jobs = [each["_id"] async for each in self._jobs.find(query, {"_id": 1}).limit(AT_ONCE)]
        if not jobs:
            return False

        async def run(session: AsyncClientSession) -> None:
            # The tasks first, as everywhere: a job's end is the last that its watchers hear.
            tasks = {**of_jobs(jobs), "state": {"$in": list(updates.OPEN_TASK)}}
            await self._tasks.update_many(tasks, [decisions.cancel_task()], session=session)
            match = {"_id": {"$in": jobs}, "state": {"$in": list(OPEN_JOB)}}
            await self._jobs.update_many(match, [decisions.cancel_job()], session=session)

        async with self._client.start_session() as session:
            with pymongo.timeout(self._timeout):
                await session.with_transaction(run)
        return True

    @translated
    async def end(self, batch: str) -> str | None:
        """End a batch of which no job is open, and all are there; returns its state, or None when it goes on.

        Of many that try, one does: a compare-and-set on its state.
        """
        found = await self._batches.find_one({"_id": batch, **_CLOSED})
        if found is None or await self._is_open(found):
            return None
        counts = (await self.counts([batch]))[batch]
        whole = found.get("cancelled") or sum(counts.values()) >= found["total"]
        if not whole or any(state in counts for state in OPEN_JOB):
            return None
        match = {"_id": batch, "total": found["total"], "state": "running"}
        update = decisions.end_batch(counts, cancelled=bool(found.get("cancelled")))
        result = await self._batches.update_one(match, [update])
        return str(update["$set"]["state"]) if result.modified_count else None

    async def _is_open(self, batch: Doc) -> bool:
        await self._indexes.require("batch")
        query = {"batch": batch["_id"], "state": {"$in": list(OPEN_JOB)}}
        return await self._jobs.find_one(query, {"_id": 1}) is not None

    @translated
    async def closed(self, after: str, limit: int) -> list[Doc]:
        """Return batches that may have ended and are not known to, in order of their ids, after that one."""
        return (
            await self._batches.find({**_CLOSED, "_id": {"$gt": after}}).sort("_id", 1).limit(limit).to_list()
        )

    @translated
    async def of_jobs(self, jobs: Sequence[str]) -> set[str]:
        """Return the batches of these jobs."""
        query = {"_id": {"$in": list(jobs)}, "batch": {"$exists": True}}
        return {each["batch"] async for each in self._jobs.find(query, {"batch": 1})}
