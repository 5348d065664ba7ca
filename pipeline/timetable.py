"""One tenant's schedules, and how long its ended jobs are kept, from Python."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.cron import cron as cron_of
from pipeline.errors import SubmissionError
from pipeline.model import DEFAULT_TENANT
from pipeline.params import sealed
from pipeline.stage import NAME
from pipeline.store import Store
from pipeline.store.documents import InlineFile, StoredFile
from pipeline.submission import job_document
from pipeline.views import ScheduleView, schedule_view

POLICIES = ("latest", "all", "skip")
BUILT_IN = ("cleanup",)
_OF_A_JOB = ("pipeline", "document", "params", "metadata", "priority")


class Timetable:
    """One tenant's schedules."""

    def __init__(self, store: Store, tenant: str = DEFAULT_TENANT) -> None:
        self._store = store
        self.tenant = tenant

    async def put_job(
        self,
        name: str,
        stored: StoredFile | InlineFile,
        document: str,
        *,
        cron: str,
        pipeline: str,
        time_zone: str = "UTC",
        missed: str = "latest",
        **options: Any,
    ) -> ScheduleView:
        """Submit a job for this document at every tick of `cron`; replaces the schedule of that name.

        Five fields, or six with the seconds first, in `time_zone`. Ticks that nobody was there to fire, for
        more than a minute, are `missed`: of them `latest` fires one, `all` fires each, `skip` none. For the
        options see `job_document`: params, metadata, priority.

        Raises:
            SubmissionError: it is not valid; the message says why. The document is discarded.
            StoreUnavailable: whether it is there is not known: put it again.
        """
        try:
            if options.get("params"):
                options["params"] = await sealed(self._store, self.tenant, options["params"])
            made = job_document(pipeline, name=document, tenant=self.tenant, **stored.fields, **options)
            job = {field: made[field] for field in _OF_A_JOB}
            await self._put(name, {"job": job}, cron, time_zone, missed)
        except SubmissionError:
            if isinstance(stored, StoredFile):
                await self._store.documents.discard(stored.file_id)
            raise
        if isinstance(stored, StoredFile):
            await self._store.documents.settle(stored.file_id)
        return await self.get(name)

    async def put_task(
        self, name: str, task: str, *, cron: str, time_zone: str = "UTC", missed: str = "latest"
    ) -> ScheduleView:
        """Run a built-in task, `cleanup`, at every tick of `cron`; see `put_job`.

        Raises:
            SubmissionError: it is not valid; the message says why.
        """
        if task not in BUILT_IN:
            raise SubmissionError(f"there is no built-in task {task!r}; there is: {', '.join(BUILT_IN)}")
        await self._put(name, {"task": task}, cron, time_zone, missed)
        return await self.get(name)

    async def _put(self, name: str, does: Mapping[str, Any], expression: str, zone: str, missed: str) -> None:
        if not NAME.fullmatch(name):
            raise SubmissionError(
                f"schedule name {name!r}: use lower-case letters, digits and dashes, at most 40"
            )
        if missed not in POLICIES:
            raise SubmissionError(
                f"what to do with missed ticks is one of {', '.join(POLICIES)}, not {missed!r}"
            )
        now = datetime.now(UTC)
        schedule = {
            "_id": self._id(name),
            "tenant": self.tenant,
            "name": name,
            "cron": expression,
            "time_zone": zone,
            "missed": missed,
            "paused": False,
            "fired": 0,
            "next_at": cron_of(expression, zone).after(now),
            "created_at": now,
            **does,
        }
        earlier = await self._store.schedules.put(schedule)
        if earlier is not None:
            await self._discard(earlier)

    async def get(self, name: str) -> ScheduleView:
        """Return one schedule.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        return schedule_view(await self._store.schedules.get(self._id(name)))

    async def all(self) -> list[ScheduleView]:
        """Return all schedules, by name."""
        return [schedule_view(each) for each in await self._store.schedules.of_tenant(self.tenant)]

    async def pause(self, name: str) -> ScheduleView:
        """Let no tick of a schedule fire until it is resumed.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        await self._store.schedules.pause(self._id(name))
        return await self.get(name)

    async def resume(self, name: str) -> ScheduleView:
        """Let a schedule go on with its next tick; those while it was paused were not missed.

        Raises:
            NotFound: this tenant has no such schedule.
            SubmissionError: its expression or zone can't be understood: put it again.
        """
        found = await self._store.schedules.get(self._id(name))
        next_at = cron_of(found["cron"], found["time_zone"]).after(datetime.now(UTC))
        await self._store.schedules.resume(self._id(name), next_at)
        return await self.get(name)

    async def delete(self, name: str) -> None:
        """Remove a schedule; what it has submitted stays.

        Raises:
            NotFound: this tenant has no such schedule.
        """
        await self._discard(await self._store.schedules.delete(self._id(name)))

    async def _discard(self, schedule: Mapping[str, Any]) -> None:
        """Remove the document of a schedule that is gone, unless a job of it still refers to that."""
        file_id = schedule.get("job", {}).get("document", {}).get("file_id")
        if file_id is not None:
            await self._store.documents.discard_unused(file_id)

    async def retention(self) -> timedelta | None:
        """Return how long ended jobs are kept; None: for ever."""
        return (await self._store.cleanup.retentions()).get(self.tenant)

    async def set_retention(self, retention: timedelta | None) -> None:
        """Keep ended jobs, with all of theirs, for so long; None: for ever. A cleanup removes them.

        Raises:
            SubmissionError: less than nothing.
        """
        if retention is not None and retention < timedelta(0):
            raise SubmissionError("a retention is not negative")
        await self._store.cleanup.set_retention(self.tenant, retention)

    def _id(self, name: str) -> str:
        return f"{self.tenant}.{name}"
