"""A pipeline of short waits, and one whose document may kill its worker."""

import os
import signal
from datetime import timedelta

import anyio
from pydantic import BaseModel

from pipeline import Document, Pipeline, RetryPolicy, StageContext, stage

PARTS = (1, 2, 3, 4)
PART_SECONDS = 0.1
POISON = b"poison"
POISON_ATTEMPTS = 3


class Done(BaseModel):
    parts: list[int]


async def _part(number: int) -> int:
    await anyio.sleep(PART_SECONDS)
    return number


@stage(name="early")
async def early(document: Document, context: StageContext) -> Done:
    return Done(parts=await context.each(PARTS, _part, int, concurrency=1))


@stage(name="late")
async def late(done: Done, context: StageContext) -> Done:
    return Done(parts=await context.each(PARTS, _part, int, concurrency=1))


@stage(name="taste", retry=RetryPolicy(max_attempts=POISON_ATTEMPTS, first=timedelta(milliseconds=10)))
async def taste(document: Document, context: StageContext) -> Done:
    if await document.read() == POISON:
        await anyio.sleep(3 * PART_SECONDS)  # time for the others to begin
        os.kill(os.getpid(), signal.SIGKILL)
    await anyio.sleep(10 * PART_SECONDS)
    return Done(parts=[])


SHIFTS = Pipeline("shifts", [early, late])
TASTING = Pipeline("tasting", [taste])
