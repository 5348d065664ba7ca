"""The pipeline that chaos is brought upon: child processes, waiting, and parts that leave a trace."""

import hashlib
import os
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
from pydantic import BaseModel

from pipeline import Document, PermanentError, Pipeline, RetryPolicy, StageContext, stage

TRACE = "MILLRACE_TEST_TRACE"
"""Names the file with a line for every part that was begun."""
BROKEN = b"broken"
"""What a document says that is to fail, for good, in the second stage."""
PARTS = (1, 2, 3, 4)
STAGES = ("scan", "read", "sum")

MANY = RetryPolicy(max_attempts=1000, first=timedelta(milliseconds=200), longest=timedelta(seconds=2))
"""More attempts than an hour has kills."""


class Digests(BaseModel):
    digests: list[str]
    broken: bool


class Lengths(BaseModel):
    lengths: list[int]


class Sum(BaseModel):
    length: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A part that was begun: a line of the trace."""

    at: float
    task: str
    part: int
    pid: int
    """Of the worker."""

    def write(self) -> None:
        with Path(os.environ[TRACE]).open("a") as lines:
            lines.write(f"{self.at} {self.task} {self.part} {self.pid}\n")

    @classmethod
    def read(cls, line: str) -> "Begun":
        at, task, part, pid = line.split()
        return cls(float(at), task, int(part), int(pid))


def digest(task: str, part: int) -> str:
    """Keep a core busy for some hundredths of a second, in a child process."""
    Begun(time.time(), task, part, os.getppid()).write()
    return hashlib.pbkdf2_hmac("sha256", task.encode(), bytes([part]), 60_000).hex()


async def _waiting(context: StageContext, part: int, seconds: float) -> None:
    """Wait for something slow, that keeps nothing busy."""
    Begun(time.time(), context.task, part, os.getpid()).write()
    await anyio.sleep(seconds * random.random())


@stage(name="scan", retry=MANY)
async def scan(document: Document, context: StageContext) -> Digests:
    async def one(part: int) -> str:
        return await context.run_process(digest, context.task, part)

    broken = await document.read() == BROKEN
    return Digests(digests=await context.each(PARTS, one, str, concurrency=2), broken=broken)


@stage(name="read", retry=MANY)
async def read(digests: Digests, context: StageContext) -> Lengths:
    async def one(part: int) -> int:
        await _waiting(context, part, 1.0)
        return len(digests.digests[part - 1])

    if digests.broken:
        raise PermanentError("this document is to fail")
    return Lengths(lengths=await context.each(PARTS, one, int, concurrency=2))


@stage(name="sum", retry=MANY)
async def total(lengths: Lengths, context: StageContext) -> Sum:
    async def one(part: int) -> int:
        await _waiting(context, part, 0.3)
        return lengths.lengths[part - 1]

    return Sum(length=sum(await context.each(PARTS, one, int)))


PAPERS = Pipeline("papers", [scan, read, total])
