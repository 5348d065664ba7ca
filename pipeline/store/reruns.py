"""Ended jobs that run again under a new revision. Nothing is overwritten."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import count
from typing import TypeVar
from uuid import uuid4

import anyio
import pymongo
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from pipeline import decisions
from pipeline.errors import NotFound, StateConflict, StoreUnavailable
from pipeline.model import FINAL_STATES, ids_of_job, of_jobs, stages_at_work, task_id
from pipeline.rerun import Asked, Past, newest_outputs, task_from
from pipeline.store.commits import create_task
from pipeline.store.driver import Client, Doc, session_uuid, translated
from pipeline.store.workers import Workers

T = TypeVar("T")

_PATIENCE = 8
"""Times that a transaction meets another's locks before those of the dead are freed: after some 0.1 s."""
_MADE_BY = {"sha256": 1, "stage_version": 1, "params": 1, "engine": 1}


class Reruns:
    """Verbs that begin a job's next revision."""

    def __init__(self, client: Client, db: AsyncDatabase[Doc], workers: Workers, timeout: float) -> None:
        self._client = client
        self._db = db
        self._workers = workers
        self._timeout = timeout

    @translated
    async def rerun(self, job: str, tenant: str, asked: Asked) -> None:
        """Run an ended job again from the stage that is asked for, in one transaction: a new revision.

        The outputs of the stages before it are used as they are; what it and the later stages wrote
        stays, under the earlier revision.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: the job has not ended, it has no such stage, or a stage before it has not
                succeeded.
        """

        async def run(session: AsyncClientSession) -> None:
            query = {"_id": job, "tenant": tenant}
            found = await self._db["jobs"].find_one(query, {"document.inline": 0}, session=session)
            if found is None:
                raise NotFound(f"there is no job {job}")
            if found["state"] not in FINAL_STATES:
                raise StateConflict(f"job {job} is {found['state']}: it cannot be run again")
            [past] = await self.pasts([found], session)
            task = task_from(past, asked.stage or past.names[0], asked)
            await self.begin([(past, task, {})], session)

        await self.transaction(run)

    @translated
    async def promote(self, job: str, tenant: str, revision: int | None) -> None:
        """Make a run that has succeeded the job's result, whatever runs later; None: the newest again.

        A run that has succeeded stays so, and is asked for first: one update then sets it.

        Raises:
            NotFound: this tenant has no such job, or the job has no such revision.
            StateConflict: the run has not succeeded.
        """
        found = await self._db["jobs"].find_one({"_id": job, "tenant": tenant}, {"stages": 1, "skip": 1})
        if found is None:
            raise NotFound(f"there is no job {job}")
        if revision is not None:
            await self._require_succeeded(found, revision)
        update = {"$unset": {"promoted": ""}} if revision is None else {"$set": {"promoted": revision}}
        result = await self._db["jobs"].update_one({"_id": job, "tenant": tenant}, update)
        if not result.matched_count:
            raise NotFound(f"there is no job {job}")

    async def _require_succeeded(self, job: Doc, revision: int) -> None:
        names = stages_at_work(job)
        end = names and await self._db["tasks"].find_one({"_id": task_id(job["_id"], names[-1], revision)})
        if end and end["state"] == "succeeded":
            return
        of_revision = {"_id": ids_of_job(job["_id"]), "revision": revision}
        if not await self._db["tasks"].find_one(of_revision, {"_id": 1}):
            raise NotFound(f"job {job['_id']} has no revision {revision}")
        raise StateConflict(f"revision {revision} of job {job['_id']} has not succeeded")

    async def begin(self, begun: Sequence[tuple[Past, Doc, Doc]], session: AsyncClientSession) -> None:
        """Write jobs' first tasks of their next revisions, and other fields into the jobs; in a transaction.

        Raises:
            StateConflict: a job is not as it was read.
        """
        reopened = [
            UpdateOne(
                {"_id": past.job["_id"], "state": past.job["state"]},
                [decisions.reopen_job(task["revision"], **fields)],
            )
            for past, task, fields in begun
        ]
        result = await self._db["jobs"].bulk_write(reopened, session=session)
        if result.matched_count < len(begun):
            raise StateConflict("a job has changed: it cannot be run again")
        await self._db["tasks"].bulk_write([create_task(task) for _, task, _ in begun], session=session)

    async def pasts(self, jobs: Sequence[Doc], session: AsyncClientSession | None = None) -> list[Past]:
        """Return jobs with their tasks, what their newest outputs were made by, and their pipelines."""
        tasks: dict[str, list[Doc]] = {each["_id"]: [] for each in jobs}
        found = await self._db["tasks"].find(of_jobs(tasks), session=session).to_list()
        for task in sorted(found, key=lambda task: task["revision"]):
            tasks[task["job"]].append(task)
        ids = [each for own in tasks.values() for each in newest_outputs(own)]
        cursor = self._db["outputs"].find({"_id": {"$in": ids}}, _MADE_BY, session=session)
        outputs = {each["_id"]: each async for each in cursor}
        names = {each["_id"]: _pipeline_of(each) for each in jobs}
        cursor = self._db["pipelines"].find({"_id": {"$in": sorted(set(names.values()))}}, session=session)
        pipelines = {each["_id"]: each async for each in cursor}
        return [
            Past(
                job,
                tasks[job["_id"]],
                {name: outputs[name] for name in newest_outputs(tasks[job["_id"]]) if name in outputs},
                pipelines.get(names[job["_id"]]),
            )
            for job in jobs
        ]

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncClientSession]:
        """Open a session for several transactions: if this process dies in one, who meets its locks ends it.

        Two writes. It is recorded beside the workers, as one that is never alive.
        """
        name = f"reruns-{uuid4().hex}"
        async with self._client.start_session() as session:
            await self._workers.register(
                name,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=(),
                slots=0,
                sessions=[session_uuid(session.session_id["id"])],
                alive_for=timedelta(0),
            )
            try:
                yield session
            finally:
                with suppress(StoreUnavailable), anyio.CancelScope(shield=True):
                    await self._workers.deregister(name)

    async def transaction(
        self, run: Callable[[AsyncClientSession], Awaitable[T]], session: AsyncClientSession | None = None
    ) -> T:
        """Run something in a transaction of its own, again while MongoDB says that again may work."""
        if session is None:
            async with self._client.start_session() as own:
                return await self.transaction(run, own)
        met = count(1)

        async def once(session: AsyncClientSession) -> T:
            try:
                return await run(session)
            except PyMongoError as error:
                if error.has_error_label("TransientTransactionError") and next(met) == _PATIENCE:
                    # The dead hold their locks for a minute. Who lives after all begins again.
                    await self._workers.end_sessions_of_silent()
                raise

        with pymongo.timeout(self._timeout):
            return await session.with_transaction(once)


def _pipeline_of(job: Doc) -> str:
    return f"{job['pipeline']}@{int(job.get('pipeline_version') or 0)}"
