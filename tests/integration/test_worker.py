"""A worker takes jobs through a pipeline."""

from collections.abc import AsyncIterator

import anyio
from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.store import Store
from pipeline.worker import Worker


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


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_job_runs_through_its_stages(store: Store) -> None:
    client = Client(store)
    worker = Worker(store, [COUNTING])
    async with anyio.create_task_group() as group:
        await group.start(worker.run)
        job, _ = await client.submit(await client.upload(pieces(b"one two three"), "a.txt"), "a.txt", "counting")
        with anyio.fail_after(20):
            while (await client.get(job.id)).state != "succeeded":
                await anyio.sleep(0.05)
        worker.stop()
    assert await client.output(job.id, "count") == {"words": 3}
