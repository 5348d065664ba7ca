"""Plain stage functions, in their threads: the document, progress, checkpoints, the end of their attempt."""

import logging
import threading
from datetime import timedelta

import anyio
import pytest
from anyio import to_thread

from pipeline import Document, RetryPolicy, StageContext, stage
from pipeline.client import Client
from pipeline.errors import LeaseLost
from pipeline.store import Store
from tests.support import Text, pipeline_of, running, submit, until

ONE_SHORT = {"timeout": timedelta(seconds=0.3), "retry": RetryPolicy(max_attempts=1)}


async def test_a_plain_function_reads_saves_and_tells(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    @stage(name="plain")
    def plain(document: Document, context: StageContext) -> Text:
        async def first_line() -> str:
            async with await document.open() as file:
                return (await file.readline()).decode().strip()

        context.progress(1, 3, "line")
        assert context.wait(document.read).count(b"\n") == 2
        line = context.wait(context.checkpoint, "first", first_line, str)
        context.progress(3, 3, "line")
        context.log.warning("done")
        return Text(text=line)

    client = Client(store)
    async with running(store, pipeline_of(plain)):
        job = (await submit(client, "test", b"one\ntwo\n")).id
        view = await until(store, job)
    assert await client.output(job, "plain") == {"text": "one"}
    assert view.stages[0].progress is not None
    assert view.stages[0].progress.done == 3
    assert await store.db["checkpoints"].count_documents({"job": job}) == 1
    [told] = [each for each in caplog.records if each.name == "millrace.stage.plain"]
    assert told.levelno == logging.WARNING
    assert (vars(told)["job"], vars(told)["task"], vars(told)["attempt"]) == (job, f"{job}:plain:1", 1)


async def test_a_plain_function_can_see_that_its_attempt_is_over(store: Store) -> None:
    seen = threading.Event()

    @stage(name="long", **ONE_SHORT)  # type: ignore[arg-type]
    def long(document: Document, context: StageContext) -> Text:
        pause = threading.Event()
        while not context.cancelled:
            pause.wait(0.01)
        seen.set()
        return Text(text="")

    async with running(store, pipeline_of(long)):
        assert (await until(store, (await submit(Client(store), "test")).id)).state == "failed"
        assert await to_thread.run_sync(seen.wait, 60)


async def test_what_a_plain_function_waits_for_ends_with_its_attempt(store: Store) -> None:
    raised: list[BaseException] = []
    ended = threading.Event()

    @stage(name="waiting", **ONE_SHORT)  # type: ignore[arg-type]
    def waiting(document: Document, context: StageContext) -> Text:
        for _ in range(2):  # the second time it is over already
            try:
                context.wait(anyio.sleep_forever)
            except LeaseLost as error:
                raised.append(error)
        ended.set()
        return Text(text="")

    async with running(store, pipeline_of(waiting)):
        assert (await until(store, (await submit(Client(store), "test")).id)).state == "failed"
        assert await to_thread.run_sync(ended.wait, 60)
    assert len(raised) == 2
