"""The API and a worker in one process share one change stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from pipeline.client import Client
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from tests.integration.api_server import Api, Told, serving
from tests.streams import kill_streams, open_streams
from tests.support import submit, until


@asynccontextmanager
async def serving_and_working(store: Store) -> AsyncIterator[Api]:
    async with serving(store.settings, worker=WorkerSettings()) as served:
        yield served


def states(told: list[Told], stage: str) -> list[str]:
    """The states of a stage, but for `ready`: a task that is created as claimed, as most are, never is."""
    heard = [each.data["state"] for each in told if each.data.get("name") == stage and "state" in each.data]
    return [state for state in heard if state != "ready"]


async def until_ended(events: AsyncIterator[Told], job: str) -> list[Told]:
    told: list[Told] = []
    async for event in events:
        told.append(event)
        if event.event == "state" and event.data["job"] == job and event.data.get("state") == "succeeded":
            return told
    raise AssertionError("the stream ended before the job")


async def test_one_stream_wakes_the_worker_and_feeds_the_watchers(store: Store) -> None:
    async with serving_and_working(store) as served:
        job = await served.submit()
        told = await served.ended(job["id"])
        assert told[-1].data["state"] == "succeeded"
        assert len(await open_streams(store)) == 1
    [role] = await store.listeners.list()
    assert role["_id"] == "worker-and-feed/counting"


async def test_after_a_restart_watchers_begin_with_what_is_and_miss_nothing(store: Store) -> None:
    async with serving_and_working(store) as served:
        # Watched from before its submission on: of a job that has ended only its end would be told.
        with anyio.fail_after(60):
            async with served.watch("/v1/events") as events:
                assert (await anext(events)).event == "heartbeat"
                first = await served.submit()
                told = await until_ended(events, first["id"])
    second = await submit(Client(store), "counting")  # while nobody is here
    async with serving_and_working(store) as served:
        await until(store, second.id)
        assert (await served.ended(first["id"], told[0].id))[:-1] == told[1:]
        assert [event.event for event in await served.ended(second.id)] == ["job", "end"]


async def test_watchers_miss_nothing_when_the_stream_breaks(store: Store) -> None:
    async with serving_and_working(store) as served:
        with anyio.fail_after(60):
            async with served.watch("/v1/events") as events:
                assert (await anext(events)).event == "heartbeat"
                assert await kill_streams(store) == 1
                job = await served.submit()
                told = await until_ended(events, job["id"])
    for stage in ("read", "count"):
        assert states(told, stage) == ["running", "succeeded"]
