"""End submitted jobs that nobody can admit: no live worker knows their pipeline, for a grace period."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline import transitions
from pipeline.agenda import STUCK, Agenda
from pipeline.errors import LeaseLost
from pipeline.model import Failure
from pipeline.store import Store
from pipeline.store.commits import Commits
from pipeline.store.strays import known_pipelines

_log = logging.getLogger("millrace.strays")

BATCH = 64
_SOON, _MARGIN = 1.0, 0.2
"""Seconds until a look for a job that was just heard of, and after the end of a grace period."""


class Strays:
    """One worker's part in it: whoever looks first marks such jobs, and ends those whose time is over."""

    def __init__(self, store: Store, commits: Commits, agenda: Agenda, grace: timedelta) -> None:
        self._store = store
        self._commits = commits
        self._agenda = agenda
        self._grace = grace

    def arm(self) -> None:
        """Look now."""
        self._agenda.arm(self._look)

    def suspect(self) -> None:
        """A job was submitted for a pipeline that no worker has told of."""
        self._agenda.arm(self._look, _SOON)

    async def _look(self) -> None:
        known = known_pipelines(await self._store.workers.alive())
        found = await self._store.strays.mark(known, self._grace)
        if found:
            _log.warning("%d submitted jobs are of pipelines that no live worker knows", found)
        overdue = await self._store.strays.overdue(BATCH)
        ended = sum([await self._end(job, known) for job in overdue])
        wait = await self._store.strays.next_end()
        if wait is not None:
            stuck = ended < len(overdue)
            self._agenda.arm(self._look, wait.total_seconds() + (STUCK if stuck else _MARGIN))

    async def _end(self, job: Mapping[str, Any], known: Mapping[str, set[int]]) -> bool:
        """Fail a job whose time is over; False when it has changed meanwhile, or has to wait."""
        wanted = job["pipeline"], job.get("pipeline_version")
        versions = known.get(wanted[0], set())
        if versions and (wanted[1] is None or wanted[1] in versions):
            await self._store.strays.unmark([(wanted[0], version) for version in versions])
            return False
        failure = Failure("UnknownPipeline", _told(*wanted, self._grace, known))
        [result] = await self._commits.commit([transitions.reject(job["_id"], failure, late=True)])
        if result is None:
            _log.error("job %s was not admitted: %s", job["_id"], failure.message)
        elif not isinstance(result, LeaseLost):
            _log.warning("job %s has to wait for its end: %s", job["_id"], result)
        return result is None


def _told(name: str, version: float | None, grace: timedelta, known: Mapping[str, set[int]]) -> str:
    wanted = repr(name) if version is None else f"{name!r} in version {version:g}"
    there = ", ".join(f"{each}@{version}" for each in sorted(known) for version in sorted(known[each]))
    return (
        f"no live worker has known the pipeline {wanted} for {grace.total_seconds():g} s; "
        f"there are: {there or 'none'}. Start a worker that hosts it, then retry the job"
    )
