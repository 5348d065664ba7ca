"""Three stages of three parts each, which leave a trace outside the database of every part that ran.

The document's content is the path of the trace, and blanks to any length. `scan` works in a child process,
`expand` gives an output that goes to GridFS, `total` has what both gave.
"""

import os
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import anyio
from pydantic import BaseModel

from pipeline import Document, Pipeline, RetryPolicy, StageContext, stage
from pipeline.store.outputs import LARGE_BODY

HOLD = "MILLRACE_TEST_HOLD"
"""Names the stage whose second part waits, in the process that has this variable."""
GATE = "MILLRACE_TEST_GATE"
"""Names the file whose appearance ends that wait; without it, there is no end."""
HELD_PART = 2
_LOOK_AGAIN = 0.02
PARTS = (1, 2, 3)
STAGES = ("scan", "expand", "total")

MANY = RetryPolicy(max_attempts=20, first=timedelta(milliseconds=50))
"""More attempts than any test takes: what bounds them is another test's matter."""

Part = tuple[str, int]
"""A stage, and the number of one of its parts."""


class Squares(BaseModel):
    squares: list[int]


class Expanded(BaseModel):
    numbers: list[int]
    padding: str


class Total(BaseModel):
    total: int


class Trace:
    """A file with a line for every part that was begun."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, stage_name: str, part: int) -> None:
        with self.path.open("a") as lines:
            lines.write(f"{stage_name} {part}\n")

    def begun(self) -> Counter[Part]:
        """Return how often each part was begun."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return Counter((name, int(number)) for name, number in map(str.split, lines))

    async def waits(self, stage_name: str, times: int = 1) -> None:
        """Return when the held part of this stage has begun, for that many times."""
        with anyio.fail_after(60):
            while True:
                if self.begun()[stage_name, HELD_PART] >= times:
                    return
                await anyio.sleep(_LOOK_AGAIN)


def square(trace: str, number: int) -> int:
    """One part of the first stage, in its child process."""
    Trace(Path(trace)).begin("scan", number)
    while _held("scan", number):
        time.sleep(_LOOK_AGAIN)
    return number * number


@stage(name="scan", retry=MANY)
async def scan(document: Document, context: StageContext) -> Squares:
    trace = (await document.read()).decode().strip()

    async def one(number: int) -> int:
        return await context.run_process(square, trace, number)

    return Squares(squares=await context.each(PARTS, one, int, concurrency=1))


@stage(name="expand", retry=MANY)
async def expand(squares: Squares, context: StageContext) -> Expanded:
    numbers = await _parts(context, [each + 1 for each in squares.squares])
    return Expanded(numbers=numbers, padding="x" * LARGE_BODY)


@stage(name="total", retry=MANY)
async def total(expanded: Expanded, context: StageContext) -> Total:
    assert len(expanded.padding) == LARGE_BODY
    squares = await context.output(Squares)
    return Total(total=sum(squares.squares) + sum(await _parts(context, expanded.numbers)))


async def _parts(context: StageContext, numbers: list[int]) -> list[int]:
    """Make every number a part of the stage."""
    trace = Trace(Path((await context.document.read()).decode().strip()))

    async def one(part: int) -> int:
        trace.begin(context.stage, part)
        while True:
            if not _held(context.stage, part):
                return numbers[part - 1]
            await anyio.sleep(_LOOK_AGAIN)

    return await context.each(PARTS, one, int, concurrency=1)


def _held(stage_name: str, part: int) -> bool:
    gate = os.environ.get(GATE)
    is_open = gate is not None and Path(gate).exists()
    return part == HELD_PART and os.environ.get(HOLD) == stage_name and not is_open


CHAIN = Pipeline("chain", [scan, expand, total])
TOTAL = sum(number * number for number in PARTS) * 2 + len(PARTS)
"""What the last stage gives."""
EVERY_PART = {(name, part) for name in STAGES for part in PARTS}
