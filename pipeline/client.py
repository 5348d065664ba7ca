"""Submit documents and look after jobs, from Python."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from pipeline import telemetry
from pipeline.crashpoints import crash_point
from pipeline.errors import NotFound, SubmissionError
from pipeline.model import DEFAULT_TENANT
from pipeline.store import Store
from pipeline.store.documents import CHUNK_BYTES, InlineFile, StoredFile
from pipeline.store.tasks import document_reference
from pipeline.submission import clean_name, job_document
from pipeline.views import JobView, job_view


class Client:
    """One tenant's jobs."""

    def __init__(self, store: Store, tenant: str = DEFAULT_TENANT) -> None:
        self._store = store
        self.tenant = tenant

    async def upload(self, content: AsyncIterator[bytes], name: str) -> StoredFile:
        """Store a document in GridFS, in bounded memory; `submit` it or `discard` it then."""
        return await self._store.documents.store(self.tenant, clean_name(name), content)

    async def receive(self, content: AsyncIterator[bytes], name: str) -> StoredFile | InlineFile:
        """Take a document: a small one is kept in memory until its job is inserted, others are stored."""
        return await self._store.documents.receive(self.tenant, clean_name(name), content)

    async def discard(self, stored: StoredFile | InlineFile) -> None:
        """Remove a document for which no job was submitted."""
        if isinstance(stored, StoredFile):
            await self._store.documents.discard(stored.file_id)

    async def submit(
        self, stored: StoredFile | InlineFile, name: str, pipeline: str, **options: Any
    ) -> tuple[JobView, bool]:
        """Submit a job for a document; when this returns, the job is not lost any more.

        Returns the job, and whether it is new: with an idempotency key that was used before, the
        earlier job is returned and the document discarded. For the options see `job_document`.

        Raises:
            IdempotencyConflict: the key was used with another document, pipeline or params.
            SubmissionError: the job is not valid. The document is discarded.
            StoreUnavailable: whether it was submitted is not known: use an idempotency key and try again.
        """
        with telemetry.span(telemetry.SUBMIT, {telemetry.PIPELINE: pipeline}):
            try:
                job = job_document(pipeline, name=name, tenant=self.tenant, **stored.fields, **options)
                kept, new = await self._store.jobs.insert(job)
            except SubmissionError:
                await self.discard(stored)
                raise
        crash_point("submit.inserted")
        if not new:
            await self.discard(stored)
            return await self._view(kept), False
        if isinstance(stored, StoredFile):
            await self._store.documents.settle(stored.file_id)
        return job_view(kept, [], await self._store.pipelines.stages_of(pipeline)), True

    async def submit_file(self, path: Path, pipeline: str = "documents", **options: Any) -> JobView:
        """Submit a local file; options as for `submit`."""
        job, _ = await self.submit(
            await self.receive(_pieces(path), path.name), path.name, pipeline, **options
        )
        return job

    async def get(self, job: str) -> JobView:
        """Return a job with its stages.

        Raises:
            NotFound: this tenant has no such job.
        """
        return await self._view(await self._store.jobs.get(job, self.tenant))

    async def jobs(
        self, *, limit: int = 50, before: str | None = None, state: str | None = None
    ) -> list[JobView]:
        """Return jobs, newest first; `before` is the id after which the last page ended."""
        jobs = await self._store.jobs.newest(self.tenant, limit=limit, before=before, state=state)
        tasks: dict[str, list[Any]] = {job["_id"]: [] for job in jobs}
        for task in await self._store.jobs.tasks(list(tasks)):
            tasks[task["job"]].append(task)
        names = await self.stage_names() if any("stages" not in job for job in jobs) else {}
        return [job_view(job, tasks[job["_id"]], names.get(job["pipeline"], [])) for job in jobs]

    async def output(self, job: str, stage: str) -> dict[str, Any]:
        """Return the body of a stage's newest output.

        Raises:
            NotFound: this tenant has no such job, or the stage has not written its output.
        """
        await self._store.jobs.get(job, self.tenant)
        tasks = [task for task in await self._store.jobs.tasks([job]) if task["stage"] == stage]
        if not tasks:
            raise NotFound(f"job {job} has no output of stage {stage!r} (yet)")
        return await self._store.outputs.body(job, stage, tasks[-1]["revision"])

    async def save_document(self, job: str, path: Path) -> Mapping[str, Any]:
        """Write a job's document to a local file; returns the job's params, by stage.

        Raises:
            NotFound: this tenant has no such job, or its document is gone.
        """
        found = await self._store.jobs.submitted(job, self.tenant)
        await self._store.documents.save(document_reference(found["document"]), path)
        params: Mapping[str, Any] = found.get("params", {})
        return params

    async def cancel(self, job: str) -> JobView:
        """Cancel a job; a running attempt stops when it hears of it.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: it has ended already.
        """
        await self._store.jobs.cancel(job, self.tenant)
        return await self.get(job)

    async def retry(self, job: str, stage: str | None = None) -> JobView:
        """Try a failed job's failed stage again, finished parts kept; or run an ended job from `stage` on.

        With a stage, it and those after it run anew, on the newest outputs of those before it; their
        earlier outputs stay, and `output` returns the newest.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: it has not failed; or, with a stage: it has not ended, has no such stage, or a
                stage before that one has not succeeded.
        """
        if stage is None:
            await self._store.jobs.retry(job, self.tenant)
        else:
            await self._store.jobs.rerun(job, self.tenant, stage)
        return await self.get(job)

    async def stage_names(self) -> Mapping[str, Sequence[str]]:
        """Return the stages of every registered pipeline, in its newest version, of a few seconds ago."""
        return await self._store.pipelines.stage_names()

    async def _view(self, job: Mapping[str, Any]) -> JobView:
        names = [] if "stages" in job else await self._store.pipelines.stages_of(job["pipeline"])
        return job_view(job, await self._store.jobs.tasks([job["_id"]]), names)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while piece := await file.read(CHUNK_BYTES):
            yield piece
