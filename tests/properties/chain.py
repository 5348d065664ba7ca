"""The pipeline of the property tests: three stages of few attempts. Its code is never run."""

from datetime import timedelta

from pydantic import BaseModel

from pipeline import Document, Pipeline, RetryPolicy, StageContext, stage
from pipeline.model import queue_name

HOLDS = 250
"""Seconds that a lease lasts. All times here end in 50, and the clock is advanced by hundreds: what has
run out and what has not differ by far more than an example takes."""
LEASE = timedelta(seconds=HOLDS)


class Part(BaseModel):
    number: int


@stage(name="one", retry=RetryPolicy(max_attempts=2))
def one(document: Document, context: StageContext) -> Part:
    raise NotImplementedError


@stage(name="two", retry=RetryPolicy(max_attempts=3))
def two(part: Part, context: StageContext) -> Part:
    raise NotImplementedError


@stage(name="three", retry=RetryPolicy(max_attempts=1))
def three(part: Part, context: StageContext) -> Part:
    raise NotImplementedError


CHAIN = Pipeline("chain", [one, two, three])
STAGES = tuple(each.name for each in CHAIN.stages)


def queues(stages: tuple[str, ...]) -> list[str]:
    return [queue_name(CHAIN.name, CHAIN.version, name) for name in stages]
