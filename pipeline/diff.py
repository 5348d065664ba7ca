"""What is other between two runs of a job, stage by stage."""

from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread
from pydantic import BaseModel

from pipeline.differences import Difference, differences
from pipeline.errors import NotFound
from pipeline.runs import run_views
from pipeline.store import Store

MOST_DIFFERENCES = 200
"""Of one stage that are told."""

Json = Mapping[str, Any]


class StageDiff(BaseModel):
    """What a stage gave otherwise."""

    stage: str
    before: int | None
    """The revision that wrote its output; None where there is none."""
    after: int | None
    same: bool
    differences: list[Difference] = []
    more: int = 0
    """Differences that are not told."""


class DiffView(BaseModel):
    """What is other between two runs of a job."""

    job: str
    before: int
    after: int
    stages: list[StageDiff]


async def diff(
    store: Store, job: Json, tasks: Sequence[Json], before: int | None, after: int | None
) -> DiffView:
    """Compare two runs; by default the newest that has succeeded with the one before it that has.

    Raises:
        NotFound: there are no such runs.
    """
    runs = {each.revision: each for each in run_views(job, tasks)}
    done = [each.revision for each in runs.values() if each.state == "succeeded"]
    after = (done[-1] if done else None) if after is None else after
    if before is None and after is not None:
        before = next((each for each in reversed(done) if each < after), None)
    if before is None or after is None:
        raise NotFound(f"job {job['_id']} has no two runs that have succeeded: name two of its revisions")
    for revision in (before, after):
        if revision not in runs:
            raise NotFound(f"job {job['_id']} has no revision {revision}")
    old, new = runs[before].stages, runs[after].stages
    stages = [
        await _stage_diff(store, job["_id"], name, old.get(name), new.get(name)) for name in {**old, **new}
    ]
    return DiffView(job=job["_id"], before=before, after=after, stages=stages)


async def _stage_diff(store: Store, job: str, stage: str, before: int | None, after: int | None) -> StageDiff:
    if before is None or after is None or before == after:
        return StageDiff(stage=stage, before=before, after=after, same=before == after)
    old, new = [await store.outputs.body(job, stage, revision) for revision in (before, after)]
    found = await to_thread.run_sync(lambda: differences(old, new, limit=MOST_DIFFERENCES))
    return StageDiff(
        stage=stage,
        before=before,
        after=after,
        same=not found.found,
        differences=found.found,
        more=found.more,
    )
