"""A submitted job becomes a running one, with its first stage's task: admission.

A compare-and-set, so that many workers, a replayed token or a cancelled job start nothing twice.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup

from pipeline import telemetry, transitions
from pipeline.committer import Committer
from pipeline.crashpoints import crash_point
from pipeline.errors import LeaseLost, PermanentError, StateConflict, StoreUnavailable
from pipeline.model import Submitted
from pipeline.stage import Pipeline

_log = logging.getLogger("millrace.admitter")

CONCURRENT = 512
"""Admissions that wait for a commit at once: two batches."""


class Admitter:
    """Admits the jobs of the pipelines that this worker hosts."""

    def __init__(
        self, committer: Committer, pipelines: Mapping[str, Pipeline], settled: Callable[[str], None]
    ) -> None:
        self._committer = committer
        self._pipelines = pipelines
        self._settled = settled
        self._limiter = anyio.CapacityLimiter(CONCURRENT)

    def hosts(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether this worker hosts the pipeline, in its version, that a job asks for."""
        pipeline = self._pipelines.get(fields.get("pipeline", ""))
        wanted = fields.get("pipeline_version")
        return pipeline is not None and wanted in (None, pipeline.version)

    def admit_soon(self, group: TaskGroup, job: str, fields: Mapping[str, Any]) -> None:
        """Admit a job that this worker hosts; `settled` is told when it has left `submitted`, by whomever."""
        try:
            submitted = _submitted(job, fields)
        except (KeyError, TypeError, ValueError) as error:
            # One that would stop every worker, whenever it is met again.
            _log.error(
                "job %s is malformed (%r): it was inserted past the collection's validator", job, error
            )
            self._settled(job)
        else:
            group.start_soon(self._admit, submitted)

    async def _admit(self, job: Submitted) -> None:
        crash_point("admit.seen")
        async with self._limiter:
            with telemetry.span(telemetry.ADMIT, {telemetry.JOB: job.id}, job.traceparent):
                change = transitions.admit(
                    job, self._pipelines[job.pipeline], job.traceparent or telemetry.current_traceparent()
                )
                try:
                    await self._committer.commit(change)
                except LeaseLost:
                    _log.debug("job %s was admitted elsewhere, or cancelled", job.id)
                except StoreUnavailable:
                    # This worker stops: the position stays before this job, whoever comes next admits it.
                    _log.warning("job %s may not be admitted yet", job.id)
                    return
                except StateConflict:
                    _log.exception("job %s is submitted, but has a task: run `millrace verify`", job.id)
                except PermanentError:
                    _log.exception("job %s can't be admitted", job.id)
            self._settled(job.id)


def _submitted(job: str, fields: Mapping[str, Any]) -> Submitted:
    return Submitted(
        id=job,
        tenant=fields["tenant"],
        pipeline=fields["pipeline"],
        priority=int(fields.get("priority") or 0),
        run_at=fields.get("run_at"),
        traceparent=fields.get("traceparent"),
        document_sha256=fields["document"]["sha256"],
    )
