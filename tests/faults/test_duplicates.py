"""The same thing told many times: events to many listeners, an old position, one idempotency key."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from bson.timestamp import Timestamp
from pydantic import SecretStr
from pymongo.asynchronous.change_stream import AsyncChangeStream

from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from pipeline.submission import job_document
from tests.clock import Clock, clocked_mongod
from tests.integration.api_server import Api, serving
from tests.records import Doc, violations
from tests.support import COUNTING, pipeline_of, read, running

LISTENERS, JOBS = 8, 120
ROLE = "worker/counting"
NO_RENEWALS = WorkerSettings(lease=timedelta(hours=1))
"""Every write that is counted here is then a transition."""


async def submit_many(store: Store, count: int) -> list[str]:
    """Submit by inserts: one event each, to everybody who listens."""
    jobs = [job_document("counting", name="a.txt", content=b"one two three") for _ in range(count)]
    await store.db["jobs"].insert_many(jobs)
    return [job["_id"] for job in jobs]


async def all_succeeded(store: Store, count: int) -> None:
    with anyio.fail_after(90):
        async with store.changes.open(FEED) as stream:
            while await store.db["jobs"].count_documents({"state": "succeeded"}) < count:
                await stream.read()


async def written(store: Store, since: Timestamp) -> Counter[str]:
    """Count the writes to jobs, tasks and outputs in the oplog, by the document's id."""
    ours = {f"{store.db.name}.{name}": name for name in ("jobs", "tasks", "outputs")}
    oplog = store.db.client["local"]["oplog.rs"]
    entries = [each async for each in oplog.find({"ts": {"$gt": since}}) if each["op"] != "n"]
    writes = [write for entry in entries for write in _unpacked(entry) if write["ns"] in ours]
    return Counter(f"{ours[write['ns']]}/{(write.get('o2') or write['o'])['_id']}" for write in writes)


def _unpacked(entry: Doc) -> Iterator[Doc]:
    """A transaction is one entry, or a few, with its writes inside."""
    if entry["op"] == "c":
        yield from entry["o"].get("applyOps", [])
    else:
        yield entry


async def test_one_event_to_eight_listeners_is_acted_on_once_and_misses_write_nothing(store: Store) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(LISTENERS):
            await stack.enter_async_context(running(store, COUNTING, NO_RENEWALS))
        began = await store.changes.now()
        jobs = await submit_many(store, JOBS)
        await all_succeeded(store, JOBS)
    tasks = await store.db["tasks"].find({}).to_list()
    assert {(task["attempt"], task["lease"]["fence"]) for task in tasks} == {(1, 1)}
    assert len(tasks) == await store.db["outputs"].count_documents({}) == 2 * JOBS
    expected = Counter({f"jobs/{job}": 3 for job in jobs})  # submitted, admitted, ended
    for task in tasks:
        expected |= Counter({f"tasks/{task['_id']}": 3, f"outputs/{task['_id']}": 1})  # made, claimed, ended
    seen = await written(store, began)
    assert seen.keys() == expected.keys()
    assert {key: expected[key] - times for key, times in seen.items() if times != expected[key]} == {
        key: 1
        for key in seen
        if key.startswith("tasks/") and seen[key] == 2  # made as claimed, and ended
    }
    assert await violations(store) == {}


@pytest.fixture
async def clocked(tmp_path: Path) -> AsyncIterator[tuple[Store, Clock]]:
    async with clocked_mongod(tmp_path / "mongod") as (mongod, clock):
        async with Store(StoreSettings(mongodb_uri=SecretStr(mongod.uri), database="replayed")) as store:
            await store.install()
            yield store, clock


async def position(store: Store) -> str:
    found = await store.listeners.position(ROLE)
    assert found is not None
    return found.token


async def test_an_hour_old_position_is_replayed_and_nothing_happens_twice(
    clocked: tuple[Store, Clock],
) -> None:
    store, clock = clocked
    async with running(store, COUNTING, NO_RENEWALS):
        await submit_many(store, 1)
        await all_succeeded(store, 1)
    old = await position(store)
    for count in (21, 41):
        async with running(store, COUNTING, NO_RENEWALS):
            await submit_many(store, 20)
            await all_succeeded(store, count)
        await clock.advance(store.db, timedelta(hours=1))
    latest, began = await position(store), await store.changes.now()
    assert latest > old
    await store.db["listeners"].update_one({"_id": ROLE}, {"$set": {"token": old, "resumed": None}})
    async with await store.db["listeners"].watch() as changes, AsyncExitStack() as stack:
        for _ in range(LISTENERS):
            await stack.enter_async_context(running(store, COUNTING, NO_RENEWALS))
        events, age = await replayed(changes, latest)
    assert events >= 40  # inserted; that they began, the only worker told nobody
    assert age >= timedelta(hours=2)
    assert await written(store, began) == {}
    assert await violations(store) == {}


async def replayed(changes: AsyncChangeStream[Doc], latest: str) -> tuple[int, timedelta]:
    """Wait until the role is where it was, every event's effect seen.

    Returns how many events one listener replayed at most, and how old the position was.
    """
    events, age, token = 0, 0.0, ""
    with anyio.fail_after(60):
        while token < latest or not events:
            fields = (await changes.next()).get("updateDescription", {}).get("updatedFields", {})
            token = max(token, fields.get("token", ""))
            resumed = fields.get("resumed") or {}
            events = max(events, resumed.get("events", fields.get("resumed.events", 0)))
            age = max(age, resumed.get("token_age", fields.get("resumed.token_age", 0.0)))
    return events, timedelta(seconds=age)


OTHER = pipeline_of(read, name="other")
KEY = "order-7"


@asynccontextmanager
async def two_apis(store: Store) -> AsyncIterator[list[Api]]:
    pipelines = (COUNTING, OTHER)
    async with serving(store.settings, pipelines) as one, serving(store.settings, pipelines) as two:
        yield [one, two]


async def post_at_once(apis: list[Api], contents: list[bytes]) -> list[httpx.Response]:
    """Post them with one key, all at the same time, to one API and the other in turn."""
    answers: dict[int, httpx.Response] = {}

    async def post(number: int, content: bytes) -> None:
        answers[number] = await apis[number % len(apis)].post(content, key=KEY)

    async with anyio.create_task_group() as group:
        for number, content in enumerate(contents):
            group.start_soon(post, number, content)
    return [answers[number] for number in range(len(contents))]


async def check_one_document(store: Store, content: bytes) -> None:
    """One job and its document are all that is left, whole."""
    counts = {"jobs": 1, "documents.files": 1, "uploads": 0}
    for collection, kept in counts.items():
        assert await store.db[collection].count_documents({}) == kept, collection
    chunks = await store.db["documents.chunks"].find({}).sort("n", 1).to_list()
    assert b"".join(chunk["data"] for chunk in chunks) == content
    assert await violations(store) == {}


def check_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "idempotency key" in answer.json()["detail"]


async def test_fifty_posts_with_one_key_are_one_job(store: Store) -> None:
    content = b"one two three" * 50_000  # more than one chunk
    async with two_apis(store) as apis:
        answers = await post_at_once(apis, [content] * 50)
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        await check_one_document(store, content)
        check_refused(await apis[0].post(b"another", key=KEY))
        check_refused(await apis[0].post(content, key=KEY, params='{"read": {}}'))
        check_refused(await apis[1].post(content, key=KEY, pipeline="other"))
        await check_one_document(store, content)


async def test_of_two_documents_with_one_key_one_is_taken(store: Store) -> None:
    contents = [b"an invoice" * 10_000, b"a letter" * 10_000] * 15  # too many bytes to travel inside a job
    async with two_apis(store) as apis:
        answers = await post_at_once(apis, contents)
        [job] = {answer.json()["id"] for answer in answers if answer.status_code == 202}
        view = await apis[1].get(f"/v1/jobs/{job}")
    told = list(zip(contents, answers, strict=True))
    [taken] = {content for content, answer in told if answer.status_code == 202}
    for content, answer in told:
        if content != taken:
            check_refused(answer)
    assert view["document"]["size"] == len(taken)
    await check_one_document(store, taken)
