"""Submit documents and look after jobs, from Python."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio

from pipeline import telemetry
from pipeline.batches import cancel_jobs, conclude
from pipeline.crashpoints import crash_point
from pipeline.diff import DiffView, diff
from pipeline.errors import NotFound, StateConflict, SubmissionError
from pipeline.model import DEFAULT_TENANT, Anew
from pipeline.params import sealed
from pipeline.planning import Plan
from pipeline.reasons import WhyView, why
from pipeline.reprocess import Reprocess, Reprocesses
from pipeline.rerun import Asked, newest_params
from pipeline.runs import RunView, output_revision, run_views
from pipeline.store import Store
from pipeline.store.documents import CHUNK_BYTES, InlineFile, StoredFile
from pipeline.store.tasks import document_reference
from pipeline.store.usage import chosen
from pipeline.submission import batch_document, clean_name, job_document
from pipeline.usage import Grouping, UsageView
from pipeline.views import AttemptView, BatchView, JobView, attempt_views, batch_view, job_view


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
        earlier job is returned and the document discarded. For the options see `job_document`;
        params that are secret, and each `SecretStr`, are stored encrypted.

        Raises:
            IdempotencyConflict: the key was used with another document, pipeline or params.
            SubmissionError: the job is not valid, or has a secret and there is no key for it, or its batch is
                none of this tenant's, or has ended. The document is discarded.
            StoreUnavailable: whether it was submitted is not known: use an idempotency key and try again.
        """
        with telemetry.span(telemetry.SUBMIT, {telemetry.PIPELINE: pipeline}):
            try:
                await self._require_open(options.get("batch"))
                if options.get("params"):
                    options["params"] = await sealed(self._store, self.tenant, options["params"])
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
        self,
        *,
        limit: int = 50,
        before: str | None = None,
        state: str | None = None,
        batch: str | None = None,
    ) -> list[JobView]:
        """Return jobs, newest first, of one batch when given; `before` is where the last page ended."""
        jobs = await self._store.jobs.newest(
            self.tenant, limit=limit, before=before, state=state, batch=batch
        )
        tasks: dict[str, list[Any]] = {job["_id"]: [] for job in jobs}
        for task in await self._store.jobs.tasks(list(tasks)):
            tasks[task["job"]].append(task)
        names = await self.stage_names() if any("stages" not in job for job in jobs) else {}
        return [job_view(job, tasks[job["_id"]], names.get(job["pipeline"], [])) for job in jobs]

    async def output(self, job: str, stage: str, revision: int | None = None) -> dict[str, Any]:
        """Return the body of a stage's output in a run; without one in that which is the job's result.

        That is the run that was promoted, else the newest that has succeeded; until there is one, the stage's
        newest output.

        Raises:
            NotFound: this tenant has no such job, there is no such run, or the stage has not written its
                output in it.
        """
        found = await self._store.jobs.get(job, self.tenant)
        tasks = await self._store.jobs.tasks([job])
        return await self._store.outputs.body(job, stage, output_revision(found, tasks, stage, revision))

    async def runs(self, job: str) -> list[RunView]:
        """Return a job's runs, oldest first.

        Raises:
            NotFound: this tenant has no such job.
        """
        found = await self._store.jobs.get(job, self.tenant)
        return run_views(found, await self._store.jobs.tasks([job]))

    async def diff(self, job: str, before: int | None = None, after: int | None = None) -> DiffView:
        """Tell what is other between two runs, field by field; by default the newest two that have succeeded.

        Raises:
            NotFound: this tenant has no such job, or the job no such runs.
        """
        found = await self._store.jobs.get(job, self.tenant)
        return await diff(self._store, found, await self._store.jobs.tasks([job]), before, after)

    async def promote(self, job: str, revision: int | None) -> JobView:
        """Make a run that has succeeded the job's result, whatever runs later; None: the newest, as before.

        Raises:
            NotFound: this tenant has no such job, or the job no such run.
            StateConflict: the run has not succeeded.
        """
        await self._store.reruns.promote(job, self.tenant, revision)
        return await self.get(job)

    async def save_document(self, job: str, path: Path) -> Mapping[str, Any]:
        """Write a job's document to a local file; returns the params of its newest revision, by stage.

        Raises:
            NotFound: this tenant has no such job, or its document is gone.
            KeyMissing: a secret of the params can't be decrypted here.
        """
        found = await self._store.jobs.submitted(job, self.tenant)
        await self._store.documents.save(document_reference(found["document"]), path)
        params = newest_params(found, await self._store.jobs.tasks([job]))
        return self._store.vault.opened(self.tenant, params)

    async def cancel(self, job: str) -> JobView:
        """Cancel a job; a running attempt stops when it hears of it.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: it has ended already.
        """
        await self._store.jobs.cancel(job, self.tenant)
        return await self.get(job)

    async def attempts(self, job: str) -> list[AttemptView]:
        """Return the failed attempts of a job's stages, the newest 20 of each, oldest first.

        Raises:
            NotFound: this tenant has no such job.
        """
        await self._store.jobs.get(job, self.tenant)
        return attempt_views(await self._store.jobs.tasks([job]))

    async def give_up(self, job: str) -> JobView:
        """Give a failed job up: it stays failed, and is none of the failures any more. Twice is as once.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: it has not failed.
        """
        before = await self._store.jobs.get(job, self.tenant)
        await self._store.failures.discard([job])
        view = await self.get(job)
        if view.discarded_at is None:
            raise StateConflict(f"job {job} is {before['state']}: it cannot be discarded")
        return view

    async def retry(
        self,
        job: str,
        stage: str | None = None,
        *,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        force: bool = False,
    ) -> JobView:
        """Try a failed job's failed stage again, finished parts kept; or run an ended job from `stage` on.

        With a stage, it runs anew on the newest outputs of those before it, and so do those after it of
        which anything that they depend on is other than before; with `force` all of them. Earlier outputs
        stay.

        Args:
            job: The job's id.
            stage: The stage from which on it is run again.
            params: By stage, laid over those that the job has: a value replaces another, None removes it.
            force: Run every stage from there on.

        Raises:
            NotFound: this tenant has no such job.
            StateConflict: it has not failed; or, with a stage: it has not ended, has no such stage, or a
                stage before that one has not succeeded.
            SubmissionError: params or `force` without a stage, or a secret and there is no key for it.
        """
        if stage is not None:
            anew: Anew = "all" if force else "first"
            given = await sealed(self._store, self.tenant, params)
            await self._store.reruns.rerun(job, self.tenant, Asked(stage, given, anew))
        elif params or force:
            raise SubmissionError("say from which stage on the job is to be run again")
        else:
            await self._store.jobs.retry(job, self.tenant)
        return await self.get(job)

    async def why(self, job: str) -> WhyView:
        """Tell why a job isn't running: what is paused or missing, until when it waits, behind how many.

        Raises:
            NotFound: this tenant has no such job.
        """
        found = await self._store.jobs.get(job, self.tenant)
        return await why(self._store, found, await self._store.jobs.tasks([job]))

    async def usage(
        self,
        *,
        job: str | None = None,
        by: Grouping | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> UsageView:
        """Return what this tenant, or one of its jobs, has used of services outside, at times until `until`.

        With `by` also in groups, `limit` at most: the costliest, or the newest days. Jobs that are removed by
        now count, too.

        Raises:
            NotFound: this tenant has no such job, and never had one that used anything.
        """
        found = await self._store.usage.view(chosen(self.tenant, job, since, until), by, limit)
        if job is not None and not found.total.requests:
            await self._store.jobs.get(job, self.tenant)
        return found

    async def create_batch(
        self, *, total: int | None = None, name: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> BatchView:
        """Create a batch; `submit` jobs with `batch=` its id.

        It ends once `total` jobs of it have ended; without a total, once it was closed.

        Raises:
            SubmissionError: it is not valid.
        """
        batch = batch_document(tenant=self.tenant, total=total, name=name, metadata=metadata)
        await self._store.batches.insert(batch)
        await conclude(self._store.batches, batch["_id"])  # of no job at all
        return await self.batch(batch["_id"])

    async def batch(self, batch: str) -> BatchView:
        """Return a batch, with how many of its jobs are in each state.

        Raises:
            NotFound: this tenant has no such batch.
        """
        found = await self._store.batches.get(batch, self.tenant)
        return batch_view(found, (await self._store.batches.counts([batch]))[batch])

    async def batches(self, *, limit: int = 50, before: str | None = None) -> list[BatchView]:
        """Return batches, newest first; `before` is the id after which the last page ended."""
        found = await self._store.batches.newest(self.tenant, limit=limit, before=before)
        running = [each["_id"] for each in found if "counts" not in each]
        counts = await self._store.batches.counts(running) if running else {}
        return [batch_view(each, counts.get(each["_id"], {})) for each in found]

    async def close_batch(self, batch: str) -> BatchView:
        """Let a batch have the jobs that it has now: it ends with the last of them.

        Raises:
            NotFound: this tenant has no such batch.
            StateConflict: it has ended before.
        """
        await self._store.batches.close(batch, self.tenant)
        await conclude(self._store.batches, batch)
        return await self.batch(batch)

    async def cancel_batch(self, batch: str) -> BatchView:
        """Cancel every job of a batch that has not ended, and end it. If this is interrupted, workers do it.

        Raises:
            NotFound: this tenant has no such batch.
            StateConflict: it has ended before.
        """
        await self._store.batches.ask_to_cancel(batch, self.tenant)
        await cancel_jobs(self._store.batches, batch)
        await conclude(self._store.batches, batch)
        return await self.batch(batch)

    async def plan(self, request: Reprocess) -> Plan:
        """Return how many jobs, pages and tokens a reprocess would take now, and what it would reuse."""
        return await Reprocesses(self._store, self.tenant).plan(request)

    async def reprocess(
        self,
        request: Reprocess | None = None,
        *,
        id: str | None = None,  # noqa: A002
        name: str | None = None,
    ) -> BatchView:
        """Run ended jobs again, what of them would be other; returns their batch, once all have begun.

        With an id, as a batch has it, it may be called again after a crash: it goes on, and no job begins
        twice. Without a request it goes on with that of the id. A job belongs to this batch from then on.

        Raises:
            SubmissionError: it is not valid, or the id is that of another batch.
            NotFound: without a request: this tenant has no such reprocess.
        """
        reprocesses = Reprocesses(self._store, self.tenant)
        if request is not None:
            id = await reprocesses.create(request, id=id, name=name)  # noqa: A001
        elif id is None:
            raise SubmissionError("say what is to be run again, or give the id of a reprocess to go on with")
        while await reprocesses.go_on(id):
            pass
        return await self.batch(id)

    async def _require_open(self, batch: str | None) -> None:
        if batch is None:
            return
        try:
            found = await self._store.batches.get(batch, self.tenant)
        except NotFound as error:
            raise SubmissionError(f"{error}: create it first") from error
        if found["state"] != "running" or found.get("cancelled"):
            raise SubmissionError(f"batch {batch} has ended: it takes no more jobs")

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
