"""A pipeline whose stage leaves traces outside the database: which part ran, in which process."""

import os
from pathlib import Path

from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage

TRACE = "MILLRACE_TEST_TRACE"
"""Names the file to which every part that runs adds a line; and a fifo beside it opens the gate."""


class Pages(BaseModel):
    pages: list[int]


class Total(BaseModel):
    total: int


def recognise(number: int) -> int:
    """One part, in a child process: says that it runs, then waits at the gate, if there is one."""
    trace = Path(os.environ[TRACE])
    with trace.open("a") as lines:
        lines.write(f"{number}\n")
    gate = trace.with_name(f"gate-{number}")
    if gate.exists():
        gate.read_bytes()  # a fifo: returns when somebody has opened and closed it for writing
    return number * number


@stage(name="pages")
async def pages(document: Document, context: StageContext) -> Pages:
    async def one(number: int) -> int:
        return await context.run_process(recognise, number)

    numbers = [1, 2, 3, 4, 5, 6]
    return Pages(pages=await context.each(numbers, one, int, unit="page", concurrency=1))


@stage(name="total")
def total(pages: Pages, context: StageContext) -> Total:
    return Total(total=sum(pages.pages))


PAGES = Pipeline("pages", [pages, total])
