"""An ended job is run again from any of its stages, under a new revision; nothing is overwritten."""

import pytest
from pydantic import BaseModel

from pipeline import Document, PermanentError, StageContext, stage
from pipeline.client import Client
from pipeline.errors import NotFound, StateConflict
from pipeline.store import Store
from tests.records import stored, violations
from tests.support import pipeline_of, running, submit, until


class Step(BaseModel):
    trail: list[str]


class Trip:
    """A pipeline of three stages, each of which adds its name and how often it ran so far."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.broken = False

        @stage(name="one")
        async def one(document: Document, context: StageContext) -> Step:
            return Step(trail=[self._note("one")])

        @stage(name="two")
        async def two(step: Step, context: StageContext) -> Step:
            if self.broken:
                raise PermanentError("broken")
            return Step(trail=[*step.trail, self._note("two")])

        @stage(name="three")
        async def three(step: Step, context: StageContext) -> Step:
            return Step(trail=[*step.trail, self._note("three")])

        self.pipeline = pipeline_of(one, two, three)

    def _note(self, name: str) -> str:
        self.ran.append(name)
        return f"{name}-{self.ran.count(name)}"


async def test_a_stage_and_those_after_it_run_anew_on_what_those_before_it_wrote(store: Store) -> None:
    client, trip = Client(store), Trip()
    async with running(store, trip.pipeline):
        job = await submit(client, "test")
        await until(store, job.id)
        again = await client.retry(job.id, "two")
        assert again.state == "running"
        assert [each.state for each in again.stages][::2] == ["succeeded", "waiting"]
        assert again.stages[1].state in ("ready", "running")  # a worker may have been faster
        view = await until(store, job.id)
    assert view.state == "succeeded"
    assert trip.ran == ["one", "two", "three", "two", "three"]
    assert await client.output(job.id, "three") == {"trail": ["one-1", "two-2", "three-2"]}
    assert await store.outputs.body(job.id, "three", 1) == {"trail": ["one-1", "two-1", "three-1"]}
    assert (await stored(store, f"{job.id}:three:2"))["inputs"] == {"one": 1, "two": 2}
    assert await violations(store) == {}


async def test_again_and_again_from_anywhere(store: Store) -> None:
    client, trip = Client(store), Trip()
    async with running(store, trip.pipeline):
        job = await submit(client, "test")
        await until(store, job.id)
        for name in ("three", "one", "two"):
            await client.retry(job.id, name)
            assert (await until(store, job.id)).state == "succeeded"
    assert await client.output(job.id, "three") == {"trail": ["one-2", "two-3", "three-4"]}
    assert await violations(store) == {}


async def test_a_failed_job_is_run_again_from_a_stage_that_had_succeeded(store: Store) -> None:
    client, trip = Client(store), Trip()
    trip.broken = True
    async with running(store, trip.pipeline):
        job = await submit(client, "test")
        assert (await until(store, job.id)).state == "failed"
        with pytest.raises(StateConflict, match="'two' has not succeeded"):
            await client.retry(job.id, "three")
        await client.retry(job.id, "one")
        assert (await until(store, job.id)).state == "failed"  # the newest revision's failure, retried next
        trip.broken = False
        await client.retry(job.id)
        view = await until(store, job.id)
    assert view.state == "succeeded"
    assert view.error is None
    assert trip.ran == ["one", "one", "two", "three"]
    assert await violations(store) == {}


async def test_a_stage_is_not_run_on_what_an_earlier_trip_left(store: Store) -> None:
    client, trip = Client(store), Trip()
    async with running(store, trip.pipeline):
        job = await submit(client, "test")
        assert (await until(store, job.id)).state == "succeeded"
        trip.broken = True
        await client.retry(job.id, "one")
        assert (await until(store, job.id)).state == "failed"
        with pytest.raises(StateConflict, match="'two' has not succeeded"):
            await client.retry(job.id, "three")  # `two` succeeded once, on an output that is not the newest


async def test_a_cancelled_job_is_run_again(store: Store) -> None:
    client, trip = Client(store), Trip()
    job = await submit(client, "test")
    with pytest.raises(StateConflict, match="is submitted"):
        await client.retry(job.id, "one")
    await client.cancel(job.id)
    with pytest.raises(StateConflict, match="it has: none yet"):  # cancelled before it was admitted
        await client.retry(job.id, "one")
    async with running(store, trip.pipeline):
        done = await submit(client, "test")
        await until(store, done.id)
        with pytest.raises(StateConflict, match="has no stage 'four'; it has: one, two, three"):
            await client.retry(done.id, "four")
    with pytest.raises(NotFound):
        await client.retry("default.0123456789abcdef0123", "one")


async def test_cancel_reaches_the_new_revision(store: Store) -> None:
    client, trip = Client(store), Trip()
    async with running(store, trip.pipeline):
        job = await submit(client, "test")
        await until(store, job.id)
    await client.retry(job.id, "two")
    view = await client.cancel(job.id)
    assert [each.state for each in view.stages] == ["succeeded", "cancelled", "waiting"]
    assert await violations(store) == {}
