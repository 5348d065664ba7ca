"""Three stages of three parts each, which leave a trace outside the database of every part that ran.

The document's content is the path of the trace. `scan` works in a child process, `expand` gives an output
that goes to GridFS, `total` has what both gave.
"""

import os
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import anyio
from pydantic import BaseModel

from pipeline import Document, Pipeline, RetryPolicy, StageContext, stage
from pipeline.store.outputs import LARGE_BODY

HOLD = "MILLRACE_TEST_HOLD"
"""Names the stage whose second part never ends, in the process that has this variable."""
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

    async def waits(self, stage_name: str) -> None:
        """Return when the held part of this stage has begun."""
        with anyio.fail_after(60):
            while True:
                if (stage_name, HELD_PART) in self.begun():
                    return
                await anyio.sleep(_LOOK_AGAIN)


def square(trace: str, number: int) -> int:
    """One part of the first stage, in its child process."""
    Trace(Path(trace)).begin("scan", number)
    if _held("scan", number):
        signal.pause()
    return number * number


@stage(name="scan", retry=MANY)
async def scan(document: Document, context: StageContext) -> Squares:
    trace = (await document.read()).decode()

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
    trace = Trace(Path((await context.document.read()).decode()))

    async def one(part: int) -> int:
        trace.begin(context.stage, part)
        if _held(context.stage, part):
            await anyio.sleep_forever()
        return numbers[part - 1]

    return await context.each(PARTS, one, int, concurrency=1)


def _held(stage_name: str, part: int) -> bool:
    return part == HELD_PART and os.environ.get(HOLD) == stage_name


CHAIN = Pipeline("chain", [scan, expand, total])
TOTAL = sum(number * number for number in PARTS) * 2 + len(PARTS)
"""What the last stage gives."""
EVERY_PART = {(name, part) for name in STAGES for part in PARTS}
