"""Event streams: whoever watches misses nothing, wherever and whenever it comes back."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from pymongo import UpdateOne

from api.events import Watch
from api.messages import Message
from api.seals import KEY_BYTES, KEY_NAME, Seals
from api.teller import Teller
from pipeline.client import Client
from pipeline.feed import BUFFER, Feed
from pipeline.settings import ApiSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from tests.integration.api_server import Api, Told, api, serving
from tests.integration.test_rest import check_problem
from tests.support import COUNTING, running, submit, until

LATER = timedelta(hours=1)


@asynccontextmanager
async def fed(store: Store, feed: Feed) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(feed.run)
        with anyio.fail_after(30):
            await feed.opened()
        yield
        group.cancel_scope.cancel()


async def watching(store: Store, feed: Feed, job: str | None) -> Watch:
    seals = Seals(await store.keys.get(KEY_NAME, KEY_BYTES))
    client, teller = Client(store), Teller(seals)
    teller.stage_names = await client.stage_names()
    return Watch(feed, seals, teller, client, 60, job)


async def one_by_one(watch: Watch, last: str | None) -> AsyncIterator[Message]:
    async for messages in watch.messages(last):
        for each in messages:
            yield each


def states(events: list[Told], stage: str) -> list[str]:
    """The states of a stage, but for `ready`: a task that is created as claimed, as most are, never is."""
    return [
        event.data["state"]
        for event in events
        if event.event == "stage"
        and event.data["name"] == stage
        and event.data.get("state") not in (None, "ready")
    ]


def in_words(events: list[Message]) -> list[tuple[str | None, str | None]]:
    return [(event.event, event.id) for event in events]


async def watched_from_the_start(store: Store, served: Api, watchers: int) -> list[list[Told]]:
    """Let watchers come, then the worker; returns what each was told of the one job."""
    job = (await served.submit())["id"]
    told: list[list[Told]] = [[] for _ in range(watchers)]
    here = anyio.Semaphore(0)

    async def watch(mine: list[Told]) -> None:
        async with served.watch(f"/v1/jobs/{job}/events") as events:
            async for event in events:
                mine.append(event)
                if len(mine) == 1:
                    here.release()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for mine in told:
                group.start_soon(watch, mine)
            for _ in told:
                await here.acquire()
            async with running(store, COUNTING):
                await until(store, job)
    return told


async def test_a_watcher_is_told_what_is_then_every_change_then_the_end(store: Store) -> None:
    async with serving(store.settings) as served:
        [told] = await watched_from_the_start(store, served, 1)
    assert (told[0].event, told[0].data["state"]) == ("job", "submitted")
    assert told[-1].event == "end"
    assert told[-1].data["state"] == "succeeded"
    for stage in ("read", "count"):
        assert states(told, stage) == ["running", "succeeded"]
    assert [event.data["state"] for event in told if event.event == "state"] == ["running", "succeeded"]
    assert all(event.id for event in told[:-1])


async def test_many_watchers_of_one_job_are_told_the_same(store: Store) -> None:
    async with serving(store.settings) as served:
        told = await watched_from_the_start(store, served, 40)
    assert all(events[1:] == told[0][1:] for events in told)
    assert told[0][-1].event == "end"


async def test_whoever_comes_back_is_told_exactly_what_was_missed_by_any_server(store: Store) -> None:
    async with serving(store.settings) as served:
        [told] = await watched_from_the_start(store, served, 1)
        job = told[0].data["id"]
        async with serving(store.settings) as other:
            for server in (served, other):
                for number, event in enumerate(told[:-1]):  # the last one has no id; before it: the end again
                    assert await server.ended(job, event.id) == told[number + 1 :]


async def test_nothing_is_missed_between_what_is_and_what_changes(store: Store) -> None:
    job = (await submit(Client(store), "counting")).id
    feed = Feed(store.changes)
    async with fed(store, feed):
        events = one_by_one(await watching(store, feed, job), None)
        first = await anext(events)
        async with running(store, COUNTING):
            await until(store, job)
        with anyio.fail_after(30):
            told = [event async for event in events]
    assert first.data["state"] == "submitted"
    assert [event.data["state"] for event in told if event.event == "state"] == ["running", "succeeded"]
    assert told[-1].event == "end"


async def test_watchers_that_come_while_jobs_run_all_see_the_end(store: Store) -> None:
    async with api(store) as served, anyio.create_task_group() as group:

        async def watch() -> None:
            job = await served.submit()
            told = await served.ended(job["id"])
            assert (told[0].event, told[-1].event) == ("job", "end")
            known = {stage["name"]: stage["state"] for stage in told[0].data["stages"]}
            for event in told:
                if event.event == "stage":
                    known[event.data["name"]] = event.data.get("state", known.get(event.data["name"]))
            assert known == {"read": "succeeded", "count": "succeeded"}

        for _ in range(30):
            group.start_soon(watch)


async def test_a_server_that_lags_tells_nothing_twice_and_ends_nothing_early(store: Store) -> None:
    ahead, behind = Feed(store.changes), Feed(store.changes)
    async with fed(store, behind):
        pass  # it knows a position, and hears nothing from here on
    job = (await submit(Client(store), "counting")).id
    async with fed(store, ahead):
        watch = await watching(store, ahead, job)
        events = one_by_one(watch, None)
        told = [await anext(events)]
        async with running(store, COUNTING):
            told += [event async for event in events]
    late = await watching(store, behind, job)
    async with anyio.create_task_group() as group:
        for number, event in enumerate(told[:-1]):
            with anyio.fail_after(30):
                missed = [each async for each in one_by_one(late, event.id)]
            assert in_words(missed) == in_words(told[number + 1 :])
        middle = one_by_one(late, told[2].id)
        some = [await anext(middle)]
        group.start_soon(behind.run)  # hears now all that the replay told
        some += [event async for event in middle]
        assert in_words(some) == in_words(told[3:])
        group.cancel_scope.cancel()


async def test_a_stream_that_was_replayed_goes_on_without_repetition(store: Store) -> None:
    """The other server's feed is behind the watcher, and the job goes on after it came."""
    ahead, behind = Feed(store.changes), Feed(store.changes)
    async with fed(store, behind):
        pass
    client = Client(store)
    async with running(store, COUNTING):
        job = (await submit(client, "counting", run_at=datetime.now(UTC) + LATER)).id
        await until(store, job, ("ready",), stage="read")
    async with fed(store, ahead):
        events = one_by_one(await watching(store, ahead, None), None)
        here = (await anext(events)).id
    late = await watching(store, behind, job)
    progress = {"done": 1, "total": 2, "unit": "page"}
    await store.db["tasks"].update_one({"job": job}, {"$set": {"progress": progress}})
    told = one_by_one(late, here)
    assert (await anext(told)).data["progress"] == progress
    async with anyio.create_task_group() as group:
        group.start_soon(behind.run)
        await client.cancel(job)
        with anyio.fail_after(30):
            after = [event async for event in told]
        group.cancel_scope.cancel()
    assert [event.event for event in after] == ["stage", "state", "end"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/jobs/{id}/events"])
async def test_an_id_that_was_not_given_here_is_refused(store: Store, path: str) -> None:
    async with api(store) as served:
        job = await served.submit()
        genuine = (await served.ended(job["id"]))[0].id
        async with store.changes.open(FEED) as stream:
            token = stream.token
        foreign = Seals(b"k" * KEY_BYTES).seal(token)
        changed = genuine[:-3] + ("A" if genuine[-3] != "A" else "B") + genuine[-2:]
        for wrong in ("x", "0", genuine[:-1], genuine[:20], genuine[1:], changed, foreign, token, "é" * 40):
            headers = {"Last-Event-ID": wrong.encode()}
            answer = await served.http.get(path.format(id=job["id"]), headers=headers)
            check_problem(answer, 400, "Last-Event-ID")


async def test_event_ids_reveal_neither_job_nor_position(store: Store) -> None:
    async with api(store) as served:
        job = await served.submit()
        told = await served.ended(job["id"])
    seals = Seals(await store.keys.get(KEY_NAME, KEY_BYTES))
    for event in told[:-1]:
        sealed = base64.urlsafe_b64decode(event.id + "=" * (-len(event.id) % 4))
        token = bytes.fromhex(seals.open(event.id))
        assert not {token[start : start + 4] for start in range(len(token) - 3)} & {
            sealed[start : start + 4] for start in range(len(sealed) - 3)
        }


async def test_a_quiet_stream_tells_positions_to_come_back_to(store: Store) -> None:
    settings = ApiSettings(heartbeat=timedelta(milliseconds=100))
    async with api(store, settings) as served:
        with anyio.fail_after(30):
            async with served.watch("/v1/events") as events:
                quiet = [await anext(events) for _ in range(3)]
        assert [(event.event, event.data) for event in quiet] == [("heartbeat", {})] * 3
        job = await served.submit()
        with anyio.fail_after(30):
            async with served.watch("/v1/events", quiet[-1].id) as events:
                first = await anext(event async for event in events if event.event != "heartbeat")
    assert (first.event, first.data["id"]) == ("job", job["id"])


async def test_all_jobs_are_watched_in_one_stream(store: Store) -> None:
    async with api(store) as served, served.watch("/v1/events") as events:
        assert (await anext(events)).event == "heartbeat"
        jobs = {(await served.submit())["id"] for _ in range(5)}
        made, ended = set[str](), dict[str, str]()
        with anyio.fail_after(60):
            async for event in events:
                assert event.event in ("job", "stage", "state", "heartbeat")
                if event.event == "job":
                    made.add(event.data["id"])
                    assert event.data["document"]["name"] == "a.txt"
                if event.event == "state" and event.data["state"] == "succeeded":
                    ended[event.data["job"]] = event.data["state"]
                if len(ended) == len(jobs):
                    break
    assert made == set(ended) == jobs


async def test_a_note_alone_is_told(store: Store) -> None:
    client, feed = Client(store), Feed(store.changes)
    async with running(store, COUNTING):
        job = (await submit(client, "counting", run_at=datetime.now(UTC) + LATER)).id
        await until(store, job, ("ready",), stage="read")
    async with fed(store, feed):
        told = one_by_one(await watching(store, feed, job), None)
        await anext(told)
        progress = {"done": 1, "total": 2, "unit": "page", "note": None}
        await store.db["tasks"].update_one({"job": job}, {"$set": {"progress": progress}})
        await store.db["tasks"].update_one({"job": job}, {"$set": {"progress.note": "9 tokens so far"}})
        with anyio.fail_after(60):
            assert (await anext(told)).data["progress"] == progress
            assert (await anext(told)).data["progress"] == {"note": "9 tokens so far"}


async def test_a_reader_that_lags_is_cut_off_and_comes_back(store: Store) -> None:
    client, feed = Client(store), Feed(store.changes)
    async with running(store, COUNTING):
        job = (await submit(client, "counting", run_at=datetime.now(UTC) + LATER)).id
        await until(store, job, ("ready",), stage="read")
    total = BUFFER + 500
    async with fed(store, feed):
        watch = await watching(store, feed, job)
        slow, quick = one_by_one(watch, None), one_by_one(watch, None)
        heard = [await anext(slow)]
        await anext(quick)
        changes = [
            UpdateOne({"job": job}, {"$set": {"progress": {"done": number, "total": total, "unit": "page"}}})
            for number in range(1, total + 1)
        ]
        async with anyio.create_task_group() as group:
            group.start_soon(store.db["tasks"].bulk_write, changes)
            with anyio.fail_after(60):
                async for event in quick:
                    if event.data["progress"]["done"] == total:
                        break
        with anyio.fail_after(60):
            heard += [event async for event in slow]
            assert len(heard) == BUFFER + 1
            again = one_by_one(watch, heard[-1].id)
            while heard[-1].data["progress"]["done"] < total:
                heard.append(await anext(again))
    assert [event.data["progress"]["done"] for event in heard[1:]] == list(range(1, total + 1))


async def test_a_watcher_is_told_of_its_own_job_or_tenant_alone(store: Store) -> None:
    feed, ours, theirs = Feed(store.changes), Client(store), Client(store, "others")
    first, second = [(await submit(ours, "counting")).id for _ in range(2)]
    async with fed(store, feed):
        watch = await watching(store, feed, first)
        one = one_by_one(watch, None)
        everything = one_by_one(replace(watch, job=None), None)
        all_of_theirs = one_by_one(replace(watch, client=theirs, job=None), None)
        assert [(await anext(each)).event for each in (one, everything, all_of_theirs)] == [
            "job",
            "heartbeat",
            "heartbeat",
        ]
        third = (await submit(theirs, "counting")).id
        await ours.cancel(second)
        await ours.cancel(first)
        await theirs.cancel(third)
        with anyio.fail_after(30):
            assert [(told.event, told.data["job"]) async for told in one] == [
                ("state", first),
                ("end", first),
            ]
            assert [(await anext(everything)).data["job"] for _ in range(2)] == [second, first]
            assert [(await anext(all_of_theirs)).event for _ in range(2)] == ["job", "state"]


async def test_what_is_told_to_many_is_made_once_and_told_at_once(store: Store) -> None:
    client, feed = Client(store), Feed(store.changes)
    jobs = [(await submit(client, "counting")).id for _ in range(3)]
    async with fed(store, feed):
        watch = await watching(store, feed, None)
        quick, slow = watch.messages(None), watch.messages(None)
        for each in (quick, slow):
            await anext(each)
        for job in jobs:
            await client.cancel(job)
        heard: list[Message] = []
        with anyio.fail_after(30):
            while len(heard) < len(jobs):
                heard += await anext(quick)
            together = await anext(slow)
    assert [each.data["job"] for each in together] == jobs
    assert all(one is other for one, other in zip(heard, together, strict=True))
