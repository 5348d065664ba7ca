"""What has failed, over all tenants: counted by reason, with its attempts; tried again or discarded.

A failure is a failed job that nobody has discarded. Its reason is the type of the error that ended it.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.store import Store
from pipeline.views import AttemptView, attempt_views

MOST = 1000
"""Failures that one call handles when nothing else is said."""


class FailureFilter(BaseModel):
    """Which failures; everything that is given must match."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str | None = Field(default=None, max_length=63)
    pipeline: str | None = Field(default=None, max_length=40)
    stage: str | None = Field(default=None, max_length=40)
    reason: str | None = Field(default=None, max_length=200)
    """An error's type, such as `TemporaryError`."""
    since: datetime | None = None
    """Failed then or later."""
    until: datetime | None = None
    """Failed then or before."""

    @property
    def wanted(self) -> dict[str, Any]:
        """What must be equal."""
        return self.model_dump(exclude_none=True, exclude={"since", "until"})


class FailureCount(BaseModel):
    """How much has failed for one reason."""

    tenant: str
    pipeline: str
    stage: str | None = None
    """None: before or between the stages, such as a deadline."""
    reason: str
    count: int
    first: datetime
    last: datetime


class FailureView(BaseModel):
    """A job that has failed, with its failed attempts."""

    job: str
    tenant: str
    pipeline: str
    pipeline_version: int | None
    document: str
    """Its name."""
    stage: str | None
    reason: str
    message: str
    failed_at: datetime
    attempts: list[AttemptView]
    """The newest 20 of each stage, oldest first."""


class Handled(BaseModel):
    """What became of failures."""

    handled: int
    left: int
    """Failures of this filter that are still there: call again, with this `until`."""
    until: datetime
    """Those that failed later were left alone."""


class Failures:
    """What an operator does with failures."""

    def __init__(self, store: Store) -> None:
        self._failures = store.failures

    async def counts(self, which: FailureFilter | None = None) -> list[FailureCount]:
        """Return how many there are of each tenant, pipeline, stage and reason; most first."""
        which = which or FailureFilter()
        found = await self._failures.counts(which.wanted, which.since, which.until)
        return [FailureCount.model_validate(each) for each in found]

    async def newest(self, which: FailureFilter | None = None, *, limit: int = 50) -> list[FailureView]:
        """Return the newest, with their attempts."""
        which = which or FailureFilter()
        found = await self._failures.newest(which.wanted, which.since, which.until, limit)
        return [
            FailureView(
                job=job["_id"],
                tenant=job["tenant"],
                pipeline=job["pipeline"],
                pipeline_version=job.get("pipeline_version"),
                document=job["document"]["name"],
                stage=job["error"].get("stage"),
                reason=job["error"]["type"],
                message=job["error"]["message"],
                failed_at=job["finished_at"],
                attempts=attempt_views(tasks),
            )
            for job, tasks in found
        ]

    async def retry(self, which: FailureFilter | None = None, *, limit: int = MOST) -> Handled:
        """Try at most `limit` failures again, finished parts kept; a second call finds none of them.

        What fails again meanwhile is not tried a second time. A job that failed before its first stage is
        submitted again.
        """
        return await self._handle(which, limit, self._failures.try_again)

    async def discard(self, which: FailureFilter | None = None, *, limit: int = MOST) -> Handled:
        """Give at most `limit` failures up: the jobs stay failed, and are no failures any more."""
        return await self._handle(which, limit, self._failures.discard)

    async def _handle(self, which: FailureFilter | None, limit: int, act: Any) -> Handled:
        which = which or FailureFilter()
        until = which.until or await self._failures.now()
        jobs = await self._failures.oldest(which.wanted, which.since, until, limit)
        handled = await act(jobs)
        left = sum(each["count"] for each in await self._failures.counts(which.wanted, which.since, until))
        return Handled(handled=handled, left=left, until=until)
