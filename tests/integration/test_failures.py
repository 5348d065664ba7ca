"""Whatever stage code raises ends as a failure that can be stored and shown."""

import pytest

from pipeline import Document, PermanentError, StageContext, stage
from pipeline.client import Client
from pipeline.store import Store
from tests.support import Text, pipeline_of, running, submit, until


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("damaged: \ud800", "damaged: \\ud800"),
        ("$state and \0", "$state and \0"),
        ("x" * 3_000, "x" * 2_000),
    ],
    ids=["no valid text", "dollar and NUL", "long"],
)
async def test_any_message_of_an_error_is_stored(store: Store, message: str, shown: str) -> None:
    @stage(name="quoting")
    async def quoting(document: Document, context: StageContext) -> Text:
        raise PermanentError(message)

    async with running(store, pipeline_of(quoting)):
        job = await submit(Client(store), "test")
        view = await until(store, job.id)
    assert view.error is not None
    assert (view.state, view.error.type, view.error.message) == ("failed", "PermanentError", shown)


async def test_an_output_that_cannot_be_stored_fails_its_job_alone(store: Store) -> None:
    @stage(name="unstorable")
    async def unstorable(document: Document, context: StageContext) -> Text:
        content = await document.read()
        return Text.model_construct(text="\ud800" if content == b"bad" else "good")

    client = Client(store)
    async with running(store, pipeline_of(unstorable)):
        bad, good = await submit(client, "test", b"bad"), await submit(client, "test", b"good")
        views = [await until(store, job.id) for job in (bad, good)]
    assert [view.state for view in views] == ["failed", "succeeded"]
