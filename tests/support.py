"""What many tests need: small pipelines, running workers, and waiting for a job by its change events."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.abc import Process
from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.model import tenant_of
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.stage import Stage
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.tether import tethered
from pipeline.views import JobView
from pipeline.worker import Worker

FINAL = ("succeeded", "failed", "cancelled")


class Text(BaseModel):
    text: str


class Count(BaseModel):
    words: int


@stage(name="read")
async def read(document: Document, context: StageContext) -> Text:
    return Text(text=(await document.read()).decode())


@stage(name="count")
def count(text: Text, context: StageContext) -> Count:
    return Count(words=len(text.text.split()))


COUNTING = Pipeline("counting", [read, count])


def pipeline_of(*stages: Stage, name: str = "test") -> Pipeline:
    return Pipeline(name, stages)


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def submit(client: Client, pipeline: str, content: bytes = b"one two three", **options: Any) -> JobView:
    stored = await client.upload(pieces(content), "a.txt")
    job, _ = await client.submit(stored, "a.txt", pipeline, **options)
    return job


async def until(
    store: Store, job: str, states: tuple[str, ...] = FINAL, *, stage: str | None = None
) -> JobView:
    """Wait, by change events, until a job (or a stage of it) is in one of these states."""
    client = Client(store, tenant_of(job))
    with anyio.fail_after(60):
        async with store.changes.open(FEED) as stream:
            while True:
                view = await client.get(job)
                now = (
                    view.state
                    if stage is None
                    else {each.name: each.state for each in view.stages}.get(stage)
                )
                if now in states:
                    return view
                await stream.read()
    raise AssertionError("not reached")


async def reconciled(store: Store, *, roles: int = 0) -> None:
    """Wait, by change events, until every role that listens, so many at least, has closed its gap."""
    with anyio.fail_after(60):
        async with await store.db["listeners"].watch() as changes:
            while len(found := await store.listeners.list()) < roles or any(each["gap"] for each in found):
                await changes.next()


@asynccontextmanager
async def running(
    store: Store, pipeline: Pipeline, settings: WorkerSettings | None = None, **options: Any
) -> AsyncIterator[Worker]:
    """A worker in this process, soft-stopped at the end of the block."""
    worker = Worker(store, [pipeline], settings or WorkerSettings(), **options)
    async with anyio.create_task_group() as group:
        await group.start(worker.run)
        try:
            yield worker
        finally:
            worker.stop(now=True)


@asynccontextmanager
async def worker_process(
    settings: StoreSettings, pipeline: str, *options: str, inside: Sequence[str] = (), **environment: str
) -> AsyncIterator[Process]:
    """A worker in a process of its own, killed at the end of the block if it is still there.

    `inside` are words before its command line that run it somewhere else, such as in another network.
    """
    assert settings.mongodb_uri is not None
    command = [*inside, sys.executable, "-m", "api", "worker", "--pipeline", pipeline, *options]
    own = {
        **os.environ,
        "MILLRACE_MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "MILLRACE_DATABASE": settings.database,
        **environment,
    }
    process = await anyio.open_process(tethered(command), stdin=DEVNULL, stdout=DEVNULL, stderr=None, env=own)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
