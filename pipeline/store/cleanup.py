"""Remove what is over: ended jobs after their tenant's retention, with everything of theirs; files of nobody.

A job goes in one transaction with its tasks, outputs and checkpoints, which leaves an intent for each of its
files: whatever crashes then, the sweeper finds them by that, as it does after an upload.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.crashpoints import crash_point
from pipeline.model import FINAL_STATES, ids_of_job
from pipeline.store.commits import Commits
from pipeline.store.documents import Documents
from pipeline.store.driver import Doc, translated

PAGE = 100


_REFERRING = {
    "jobs": "document.file_id",
    "outputs": "file_id",
    "schedules": "job.document.file_id",
    "uploads": "_id",  # of which the sweeper knows
}
"""Whose files they may be, and by which field."""


class Cleanup:
    """What a cleanup finds, and how it is removed."""

    def __init__(self, db: AsyncDatabase[Doc], documents: Documents) -> None:
        self._db = db
        self._documents = documents

    @translated
    async def retentions(self) -> dict[str, timedelta]:
        """Return how long ended jobs are kept, by tenant; of tenants that are not there, for ever."""
        found = self._db["tenants"].find({"retention": {"$type": "number"}})
        return {each["_id"]: timedelta(milliseconds=each["retention"]) async for each in found}

    @translated
    async def set_retention(self, tenant: str, retention: timedelta | None) -> None:
        """Keep a tenant's ended jobs for so long; None: for ever."""
        value = None if retention is None else int(retention / timedelta(milliseconds=1))
        await self._db["tenants"].update_one({"_id": tenant}, {"$set": {"retention": value}}, upsert=True)

    async def ended_jobs(self, tenant: str, retention: timedelta) -> AsyncIterator[list[str]]:
        """Yield a tenant's jobs that ended that long ago, in pages, by the index of jobs by state."""
        for state in sorted(FINAL_STATES):
            last = ""
            while page := await self._ended(tenant, state, retention, last):
                yield page
                last = page[-1]

    @translated
    async def _ended(self, tenant: str, state: str, retention: timedelta, last: str) -> list[str]:
        query = {"tenant": tenant, "state": state, "_id": {"$gt": last}, **_over("finished_at", retention)}
        found = self._db["jobs"].find(query, {"_id": 1}).sort("_id", 1).limit(PAGE)
        return [each["_id"] async for each in found]

    @translated
    async def remove_job(self, job: str, retention: timedelta, commits: Commits) -> bool:
        """Remove a job that ended that long ago, with all that belongs to it; False when it lives again.

        Raises:
            StoreUnavailable: the database is away, or something of it is locked.
        """

        async def run(session: AsyncClientSession) -> list[Any] | None:
            ended = {"_id": job, "state": {"$in": sorted(FINAL_STATES)}, **_over("finished_at", retention)}
            removed = await self._db["jobs"].find_one_and_delete(ended, session=session)
            if removed is None:
                return None
            files = await self._files(removed, session)
            for file in files:
                intent = [{"$set": {"tenant": removed["tenant"], "started_at": "$$NOW"}}]
                await self._db["uploads"].update_one({"_id": file}, intent, upsert=True, session=session)
            own = {"_id": ids_of_job(job)}
            for collection in ("checkpoints", "outputs", "tasks"):
                await self._db[collection].delete_many(own, session=session)
            await self._db["memories"].delete_many({"job": job}, session=session)
            await self._db["budgets"].delete_one({"_id": f"job:{job}"}, session=session)
            crash_point("cleanup.written", lambda: [job])
            return files

        files = await commits.run(run)
        crash_point("cleanup.removed", lambda: [job])
        for file in files or ():
            await self._documents.discard_unused(file)
        return files is not None

    async def _files(self, job: Mapping[str, Any], session: AsyncClientSession) -> list[Any]:
        large = self._db["outputs"].find({"_id": ids_of_job(job["_id"])}, {"file_id": 1}, session=session)
        files = [each["file_id"] async for each in large if "file_id" in each]
        own = job["document"].get("file_id")
        return files if own is None else [own, *files]

    @translated
    async def remove_batches(self, tenant: str, retention: timedelta) -> int:
        """Remove a tenant's batches that ended that long ago: so have all of their jobs."""
        ended = {"tenant": tenant, "state": {"$in": sorted(FINAL_STATES)}, **_over("finished_at", retention)}
        return (await self._db["batches"].delete_many(ended)).deleted_count

    async def files_of_nobody(self, grace: timedelta) -> AsyncIterator[list[Any]]:
        """Yield files of that age to which nothing refers, in pages; somebody may until they are removed."""
        last: Any = None
        while page := await self._files_after(last, grace):
            yield [each["_id"] for each in page if not any(each[name] for name in _REFERRING)]
            last = page[-1]["_id"]

    @translated
    async def _files_after(self, last: Any, grace: timedelta) -> list[Doc]:
        stages: list[Mapping[str, Any]] = [
            {"$match": {**({} if last is None else {"_id": {"$gt": last}}), **_over("uploadDate", grace)}},
            {"$sort": {"_id": 1}},
            {"$limit": PAGE},
            {"$project": {"_id": 1}},
            *[_referring(collection, field) for collection, field in _REFERRING.items()],
        ]
        return await (await self._db["documents.files"].aggregate(stages)).to_list()


def _over(field: str, age: timedelta) -> Doc:
    limit = {"$subtract": ["$$NOW", int(age / timedelta(milliseconds=1))]}
    # A date that is missing is less than any: such a document is none of those that are over.
    return {field: {"$type": "date"}, "$expr": {"$lte": [f"${field}", limit]}}


def _referring(collection: str, field: str) -> Doc:
    lookup = {"from": collection, "localField": "_id", "foreignField": field, "as": collection}
    return {"$lookup": {**lookup, "pipeline": [{"$limit": 1}, {"$project": {"_id": 1}}]}}
