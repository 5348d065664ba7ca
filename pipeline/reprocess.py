"""Run many ended jobs again, with other params or by newer stages: what that would take, and doing it.

Only what would be other runs: stages before the first whose version, params or engine differ are left as they
are, and one after it takes its earlier output over where all before it gives the same.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.batches import conclude
from pipeline.crashpoints import crash_point
from pipeline.errors import SubmissionError
from pipeline.model import Anew, is_job_id, tenant_of
from pipeline.params import sealed
from pipeline.planning import Plan, Planning
from pipeline.rerun import Asked, decided, newest_outputs
from pipeline.store import Store
from pipeline.store.reprocesses import AT_ONCE, EXAMPLES
from pipeline.submission import batch_document

PAGE = 100
"""Jobs whose pasts a plan holds in memory at once."""


class JobFilter(BaseModel):
    """Which jobs; everything that is given must match."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["succeeded", "failed", "cancelled"] = "succeeded"
    pipeline: str | None = Field(default=None, max_length=40)
    type: str | None = Field(default=None, max_length=255)
    """Media type of the document, such as `application/pdf`."""
    batch: str | None = Field(default=None, max_length=128)
    """The batch that they belong to."""
    since: datetime | None = None
    """Submitted then or later."""
    until: datetime | None = None
    """Submitted then or before."""

    @field_validator("since", "until")
    @classmethod
    def _storable(cls, time: datetime | None) -> datetime | None:
        if time is None:
            return None
        if time.tzinfo is None:
            raise ValueError("needs a time zone, such as 2030-01-31T08:00:00Z")
        return time.replace(microsecond=time.microsecond // 1000 * 1000)  # as MongoDB keeps it


class Reprocess(BaseModel):
    """What is to be run again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str | None = Field(default=None, max_length=40)
    """No stage before this one; without it, any that differs."""
    params: dict[str, dict[str, Any]] = {}
    """By stage, laid over those that each job has; null removes one."""
    which: JobFilter = Field(default=JobFilter(), alias="filter")
    force: bool = False
    """Run every stage from `stage` on, also where nothing would be other."""
    hold: bool = False
    """Leave each job's result what it is, until another run is promoted."""

    @property
    def asked(self) -> Asked:
        """What is asked of each job."""
        anew: Anew = "all" if self.force else "changed"
        return Asked(self.stage, self.params, anew)


class Reprocesses:
    """One tenant's."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    async def plan(self, request: Reprocess) -> Plan:
        """Return what a reprocess would take now; in bounded memory, whatever the number of jobs."""
        request, after = await self._sealed(request), ""
        planning = Planning(request.asked)
        which = request.which.model_dump(exclude_none=True)
        stored = self._store.reprocesses
        while True:
            pasts, busy = await stored.ended(self._tenant, which, after, PAGE)
            decisions = [decided(past, request.asked, busy) for past in pasts]
            changing = [past for past, each in zip(pasts, decisions, strict=True) if isinstance(each, dict)]
            outputs = [each for past in changing for each in newest_outputs(past.tasks)]
            measures = await stored.measures(outputs) if outputs else {}
            for past, decision in zip(pasts, decisions, strict=True):
                planning.add(past, decision, measures)
            if len(pasts) < PAGE:
                break
            after = pasts[-1].job["_id"]
        plan = planning.done()
        plan.open = await stored.open(self._tenant, which, EXAMPLES)
        return plan

    async def create(self, request: Reprocess, *, id: str | None = None, name: str | None = None) -> str:  # noqa: A002
        """Create the batch that a reprocess is, and return its id; `go_on` begins its jobs.

        Twice with one id is as once.

        Raises:
            SubmissionError: it is not valid, has a secret and there is no key for it, or there is another
                batch of that id.
        """
        batch = batch_document(tenant=self._tenant, name=name or "reprocess")
        if id is not None:
            if not is_job_id(id) or tenant_of(id) != self._tenant:
                raise SubmissionError(
                    f"the id of a reprocess begins with {self._tenant!r} and a dot, as a job's"
                )
            batch["_id"] = id
        stored = (await self._sealed(request)).model_dump(exclude={"which"})
        stored["which"] = request.which.model_dump(exclude_none=True)
        counts = {"begun": 0, "unchanged": 0, "refused": 0, "examples": []}
        batch["reprocess"] = {"request": stored, "cursor": "", "done": False, **counts}
        try:
            await self._store.batches.insert(batch)
        except SubmissionError:
            if id is None or not await self._is_as_asked(id, stored):
                raise
        return str(batch["_id"])

    async def go_on(self, batch: str, *, limit: int = AT_ONCE) -> bool:
        """Look at some `limit` more jobs, and run again what would be other; False when there are no more.

        Any number of callers may do so at the same time, and after a crash: each job begins once. What a
        process had locked that was killed is freed at once, where `killAnySession` is allowed, else by the
        server in a minute.

        Raises:
            NotFound: this tenant has no such reprocess.
        """
        async with self._store.reruns.session() as session:
            for _ in range(max(1, limit // AT_ONCE)):
                found = await self._store.reprocesses.go_on(batch, self._tenant, session)
                crash_point("reprocess.begun", lambda: [batch])
                if found["state"] != "running" or found.get("cancelled") or found["reprocess"]["done"]:
                    await conclude(self._store.batches, batch)
                    return False
        return True

    async def _sealed(self, request: Reprocess) -> Reprocess:
        params = await sealed(self._store, self._tenant, request.params)
        return request.model_copy(update={"params": params})

    async def _is_as_asked(self, batch: str, request: Mapping[str, Any]) -> bool:
        found = await self._store.batches.get(batch, self._tenant)
        return bool(found.get("reprocess", {}).get("request") == request)
