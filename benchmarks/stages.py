"""Pipelines that benchmarks need besides the one that does nothing."""

import anyio

from benchmarks.ground import Nothing, first, second, third
from pipeline import Document, Pipeline, StageContext, stage

SHORT_WAIT = 0.05
"""Seconds: long enough to see slots occupied."""


@stage(name="wait")
async def wait(document: Document, context: StageContext) -> Nothing:
    """Take a moment."""
    await anyio.sleep(SHORT_WAIT)
    return Nothing(x=1)


@stage(name="wait-again")
async def wait_again(given: Nothing, context: StageContext) -> Nothing:
    """Take a moment more."""
    await anyio.sleep(SHORT_WAIT)
    return Nothing(x=given.x + 1)


WAITING = Pipeline("waiting", [wait, wait_again])
"""Two stages that keep a slot, and nothing else, busy."""

ELSEWHERE = Pipeline("elsewhere", [wait])
"""Hosted by a worker that hears of everybody's work, and has none."""

EARLIER = Pipeline("released", [first, second, third])
LATER = Pipeline("released", [first, second, third], version=2)
"""Two releases of a pipeline that does nothing."""
