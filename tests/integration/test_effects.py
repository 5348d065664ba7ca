"""What a stage does outside of MongoDB: once over its attempts, and by a key that they share."""

import uuid
from datetime import timedelta

import anyio
import pytest

from pipeline import Document, RetryPolicy, Snooze, StageContext, TemporaryError, stage
from pipeline.client import Client
from pipeline.stage import Stage
from pipeline.store import Store
from tests.records import violations
from tests.support import Text, pipeline_of, running, submit, until

AT_ONCE = RetryPolicy(max_attempts=3, first=timedelta(milliseconds=1))


def effecting(done: list[str], *, version: int = 1, then: Exception | None = None) -> Stage:
    """A stage with an effect, which raises `then` after it, at the first attempt."""

    @stage(name="mail", version=version, retry=AT_ONCE)
    async def mail(document: Document, context: StageContext) -> Text:
        async def send() -> str:
            done.append(context.idempotency_key)
            return f"mail {len(done)}"

        receipt = await context.once("mail", send, str)
        if then is not None and context.attempt == 1:
            raise then
        return Text(text=receipt)

    return mail


async def test_an_effect_is_not_done_again_by_a_later_attempt(store: Store) -> None:
    client, done = Client(store), list[str]()
    job = (await submit(client, "test")).id
    async with running(store, pipeline_of(effecting(done, then=RuntimeError()))):
        assert (await until(store, job)).state == "succeeded"
    assert len(done) == 1
    assert (await client.output(job, "mail")) == {"text": "mail 1"}
    assert await violations(store) == {}


async def test_nor_by_a_later_version_of_its_stage(store: Store) -> None:
    client, done = Client(store), list[str]()
    job = (await submit(client, "test")).id
    later = Snooze(timedelta(milliseconds=500))
    async with running(store, pipeline_of(effecting(done, then=later))):
        await until(store, job, ("ready",), stage="mail")
    async with running(store, pipeline_of(effecting(done, version=2))):
        assert (await until(store, job)).state == "succeeded"
    assert len(done) == 1


@pytest.mark.parametrize(
    ("raised", "times", "ended"),
    [
        (TemporaryError("not sent"), 2, "succeeded"),
        (Snooze(timedelta(milliseconds=1)), 2, "succeeded"),
        (TimeoutError("no answer"), 1, "failed"),
    ],
)
async def test_only_an_effect_that_says_it_was_not_done_is_tried_again(
    store: Store, raised: Exception, times: int, ended: str
) -> None:
    done: list[str] = []

    @stage(name="mail", retry=AT_ONCE)
    async def mail(document: Document, context: StageContext) -> Text:
        async def send() -> str:
            done.append(context.idempotency_key)
            if len(done) == 1:
                raise raised
            return "sent"

        return Text(text=await context.once("mail", send, str))

    job = (await submit(Client(store), "test")).id
    async with running(store, pipeline_of(mail)):
        view = await until(store, job)
    assert (view.state, len(done)) == (ended, times)
    if ended == "failed":
        assert view.error is not None
        assert view.error.type == "InDoubt"
        assert "'mail'" in view.error.message


async def test_two_calls_at_once_are_one_effect(store: Store) -> None:
    done: list[str] = []

    @stage(name="mail")
    async def mail(document: Document, context: StageContext) -> Text:
        async def send() -> str:
            done.append(context.idempotency_key)
            await anyio.lowlevel.checkpoint()
            return "sent"

        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(context.once, "mail", send, str)
        return Text(text="")

    job = (await submit(Client(store), "test")).id
    async with running(store, pipeline_of(mail)):
        assert (await until(store, job)).state == "succeeded"
    assert len(done) == 1


async def test_attempts_share_their_key_and_revisions_do_not(store: Store) -> None:
    client, keys = Client(store), list[str]()

    @stage(name="asking", retry=AT_ONCE)
    async def asking(document: Document, context: StageContext) -> Text:
        keys.append(context.idempotency_key)
        if context.attempt < 2:
            raise TemporaryError
        return Text(text="")

    async with running(store, pipeline_of(asking)):
        job = (await submit(client, "test")).id
        await until(store, job)
        await client.retry(job, "asking")
        await until(store, job)
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert str(uuid.UUID(keys[0])) == keys[0]
