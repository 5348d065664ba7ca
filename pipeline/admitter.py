"""A submitted job becomes a running one, with its first stage's task: admission.

A compare-and-set, so that many workers, a replayed token or a cancelled job start nothing twice.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline import telemetry, transitions
from pipeline.committer import Committer
from pipeline.crashpoints import crash_point
from pipeline.errors import (
    DefinitionError,
    KeyMissing,
    LeaseLost,
    MillraceError,
    StateConflict,
    StoreUnavailable,
    SubmissionError,
)
from pipeline.handoff import Begin
from pipeline.hosted import Hosted
from pipeline.model import Change, Failure, Hold, Submitted, Task
from pipeline.params import check_params
from pipeline.store.backlog import priority_of
from pipeline.store.tasks import task_of
from pipeline.vault import Vault

_log = logging.getLogger("millrace.admitter")


_REFUSALS: Mapping[type[MillraceError], str] = {
    SubmissionError: "InvalidParams",
    DefinitionError: "InvalidSkip",
    KeyMissing: "KeyMissing",
}
"""What a job's failure is called, by what was raised."""


class Admitter:
    """Admits the jobs of the pipelines that this worker hosts."""

    def __init__(
        self,
        committer: Committer,
        hosted: Hosted,
        vault: Vault,
        *,
        alone: Callable[[], bool] = lambda: False,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """Make one.

        `alone` tells whether this worker is surely the only one, so that nobody else needs to hear what it
        begins; `begun` hears that something has begun here.
        """
        self._alone = alone
        self._tell_begun = begun
        self._committer = committer
        self._hosted = hosted
        self._vault = vault
        self.refused: set[str] = set()
        """Jobs that can't be admitted, and would be met again and again."""

    async def admit(
        self, jobs: Sequence[Mapping[str, Any]], hold: Hold | None, blocker: str | None = None
    ) -> list[Task]:
        """Admit jobs, as the backlog gives them; returns the first tasks of those that `hold` begins.

        Those that are not due or skip their first stage, and all without `hold`, get a task that waits to
        be claimed, of those that are due in the pond of `blocker` when that is given. Those whose params no
        stage takes or can't be decrypted here, or that skip stages which can't be skipped, fail. Jobs that
        others admitted, or that were cancelled, are left out.
        """
        crash_point("admit.seen")
        traced = telemetry.traced()
        changes: list[Change] = []
        begins: list[Begin | None] = []
        quiet = hold is not None and self._alone()
        for job in jobs:
            try:
                now = (hold, blocker) if job["due"] else (None, None)
                change, begin = self._change(job, *now, quiet=quiet, traced=traced)
            except (KeyError, TypeError, ValueError) as error:
                self._refuse(job["_id"], f"it is malformed ({error!r}), inserted past the validator")
                continue
            changes.append(change)
            begins.append(begin)
        results, as_of = await self._committer.commit_all(changes)
        begun: list[Task] = []
        for change, begin, result in zip(changes, begins, results, strict=True):
            if result is not None:
                self._report(str(change.guard.filter["_id"]), result)
            elif begin is not None:
                begun.append(begin(as_of))
        if begun:
            self._tell_begun()
        return begun

    def _change(
        self, job: Mapping[str, Any], hold: Hold | None, blocker: str | None, *, quiet: bool, traced: bool
    ) -> tuple[Change, Begin | None]:
        submitted = _submitted(job)
        whole = self._hosted.beginner(submitted.pipeline, job.get("pipeline_version"))
        if whole is None:
            raise ValueError(f"{submitted.pipeline!r} does not begin here")
        try:
            check_params(whole, self._vault.opened(submitted.tenant, submitted.params))
            pipeline = whole.without(submitted.skip)
        except (SubmissionError, DefinitionError, KeyMissing) as error:
            _log.warning("job %s fails: %s", submitted.id, error)
            kind = next(name for raised, name in _REFUSALS.items() if isinstance(error, raised))
            return transitions.reject(submitted.id, Failure(kind, str(error))), None
        if pipeline.stages[0] is not whole.stages[0]:
            hold = None  # where it begins may be paused, limited or for others: whoever claims it looks
        traceparent = submitted.traceparent
        if traced:
            with telemetry.span(telemetry.ADMIT, {telemetry.JOB: submitted.id}, traceparent):
                traceparent = traceparent or telemetry.current_traceparent()
        change = transitions.admit(submitted, pipeline, traceparent, hold, blocker, quiet=quiet)
        if hold is None:
            return change, None
        [(_, created)] = change.creates
        return change, partial(task_of, created, job, {}, hold.asked_at, fresh=True)

    def _report(self, job: str, result: MillraceError) -> None:
        match result:
            case LeaseLost():
                _log.debug("job %s was admitted elsewhere, or cancelled", job)
            case StoreUnavailable():
                _log.warning("job %s may not be admitted yet: whoever comes next does it", job)
            case StateConflict():
                self._refuse(job, "it has a task already: run `millrace verify`")
            case _:
                self._refuse(job, str(result))

    def _refuse(self, job: str, why: str) -> None:
        _log.error("job %s can't be admitted: %s", job, why)
        self.refused.add(job)


def _submitted(job: Mapping[str, Any]) -> Submitted:
    return Submitted(
        id=job["_id"],
        tenant=job["tenant"],
        pipeline=job["pipeline"],
        priority=priority_of(job),
        run_at=None if job["due"] else job["run_at"],
        traceparent=job.get("traceparent"),
        document_sha256=job["document"]["sha256"],
        document_size=int(job["document"]["size"]),
        params=job.get("params") or {},
        skip=tuple(job.get("skip", ())),
    )
