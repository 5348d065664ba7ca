"""Schedules: each tick once whatever the number of workers, missed ones by policy, and clear errors."""

from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from pymongo.errors import WriteError

from pipeline.client import Client
from pipeline.errors import NotFound, SubmissionError
from pipeline.store import Store
from pipeline.store.documents import INLINE_BYTES, InlineFile
from pipeline.timetable import Timetable
from tests.integration.api_server import api
from tests.integration.test_rest import check_problem
from tests.records import Doc, violations
from tests.support import COUNTING, pieces, running, until

NEVER = "0 0 1 1 *"
"""But at New Year; the tests set when it is due."""
HELLO = InlineFile(b"hello there")


async def hourly(store: Store, name: str = "hourly", **options: Any) -> None:
    when = {"cron": "0 * * * *", **options}
    await Timetable(store).put_job(name, HELLO, "a.txt", pipeline="counting", **when)


async def set_due(store: Store, when: datetime, name: str = "hourly", **fields: Any) -> None:
    """Replace a schedule, as workers hear of that."""
    changed = await stored(store, name)
    for field, value in {"next_at": when, **fields}.items():
        *path, last = field.split(".")
        inner = changed
        for step in path:
            inner = inner[step]
        inner[last] = value
    await store.db["schedules"].replace_one({"_id": changed["_id"]}, changed)


async def stored(store: Store, name: str = "hourly") -> Doc:
    found = await store.db["schedules"].find_one({"_id": f"default.{name}"})
    assert found is not None
    return found


async def when(store: Store, reached: Callable[[Doc], bool], name: str = "hourly") -> Doc:
    """Wait, by change events, until a schedule is so."""
    with anyio.fail_after(60):
        async with await store.db["schedules"].watch() as changes:
            while not reached(found := await stored(store, name)):
                await changes.next()
    return found


def is_ahead(schedule: Doc) -> bool:
    return schedule.get("next_at") is not None and schedule["next_at"] > datetime.now(UTC)


async def ticks_of(store: Store) -> Counter[str]:
    return Counter(
        [job["metadata"]["tick"] async for job in store.db["jobs"].find({"metadata.schedule": "hourly"})]
    )


async def test_every_tick_fires_once_however_many_workers_there_are(store: Store) -> None:
    async with AsyncExitStack() as workers:
        for _ in range(4):
            await workers.enter_async_context(running(store, COUNTING))
        await hourly(store, cron="* * * * * *", metadata={"my": "own"})
        found = await when(store, lambda each: each["fired"] >= 4)
        view = await until(store, found["last"]["job"])
        await Timetable(store).pause("hourly")
    assert (view.state, view.document.name, view.metadata["my"]) == ("succeeded", "a.txt", "own")
    ticks = await ticks_of(store)
    assert set(ticks.values()) == {1}
    assert len(ticks) == (await stored(store))["fired"]
    assert await violations(store) == {}


async def test_a_schedule_that_is_put_while_nobody_works_fires_when_somebody_comes(store: Store) -> None:
    await hourly(store)
    await set_due(store, datetime.now(UTC) - timedelta(seconds=1))
    async with running(store, COUNTING):
        found = await when(store, lambda each: each["fired"] == 1)
        assert (await until(store, found["last"]["job"])).state == "succeeded"
    assert is_ahead(found)


@pytest.mark.parametrize(("missed", "jobs"), [("latest", 1), ("all", 3), ("skip", 0)])
async def test_missed_ticks_by_the_schedules_policy(store: Store, missed: str, jobs: int) -> None:
    """Three were missed; the cron's next is at New Year."""
    first = datetime(datetime.now(UTC).year - 2, 1, 1, tzinfo=UTC)
    await hourly(store, cron=NEVER, missed=missed)
    await set_due(store, first)
    async with running(store, COUNTING):
        await when(store, is_ahead)
    expected = [first.replace(year=first.year + n).isoformat() for n in range(3)]
    assert sorted(await ticks_of(store)) == (expected[-1:] if missed == "latest" else expected[:jobs])


async def test_a_paused_schedule_fires_nothing_and_misses_nothing(store: Store) -> None:
    timetable = Timetable(store)
    await hourly(store, cron=NEVER, missed="all")
    await hourly(store, "other")
    await set_due(store, datetime(2020, 1, 1, tzinfo=UTC))
    assert (await timetable.pause("hourly")).paused
    await set_due(store, datetime.now(UTC), "other")
    async with running(store, COUNTING):
        await when(store, lambda each: each["fired"] == 1, "other")  # whatever was due with it was seen
        resumed = await timetable.resume("hourly")
    assert (resumed.paused, resumed.fired) == (False, 0)
    assert resumed.next_at is not None
    assert resumed.next_at > datetime.now(UTC)


async def test_a_schedule_that_any_driver_inserts_is_planned(store: Store) -> None:
    await hourly(store)
    made = await stored(store)
    await Timetable(store).delete("hourly")
    async with running(store, COUNTING):
        await store.db["schedules"].insert_one(
            {key: made[key] for key in made if key not in ("next_at", "fired")}
        )
        assert is_ahead(await when(store, is_ahead))
        await set_due(store, datetime.now(UTC))
        assert (await when(store, lambda each: each.get("fired") == 1))["last"]["job"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cron": "at noon"}, "the cron expression 'at noon' cannot be understood"),
        ({"time_zone": "Middle/Earth"}, "there is no time zone 'Middle/Earth'"),
        ({"job.document.size": 1}, "validation"),
    ],
)
async def test_a_schedule_that_cannot_fire_is_paused_and_says_why(
    store: Store, fields: Doc, words: str
) -> None:
    await hourly(store)
    async with running(store, COUNTING):
        await set_due(store, datetime.now(UTC), **fields)
        await when(store, lambda each: each["paused"])
        view = await Timetable(store).get("hourly")
    assert words in str(view.error)
    assert await store.db["jobs"].count_documents({}) == 0


async def test_a_malformed_schedule_is_refused(store: Store) -> None:
    await hourly(store)
    made = await stored(store)
    for wrong in ({"_id": "other.hourly"}, {"missed": "some"}, {"task": "cleanup"}, {"tenant": "Other"}):
        with pytest.raises(WriteError, match="failed validation"):
            await store.db["schedules"].insert_one({**made, "_id": "default.x", "name": "x"} | wrong)
    timetable = Timetable(store)
    for options, words in (
        ({"cron": "* *"}, "cannot be understood"),
        ({"time_zone": "Nowhere"}, "no time zone"),
        ({"missed": "some"}, "one of latest, all, skip"),
    ):
        with pytest.raises(SubmissionError, match=words):
            await hourly(store, **options)
    with pytest.raises(SubmissionError, match="lower-case"):
        await hourly(store, "Nightly!")
    with pytest.raises(SubmissionError, match="no built-in task 'tidy'"):
        await timetable.put_task("tidy", "tidy", cron=NEVER)
    for act in (timetable.get, timetable.pause, timetable.resume, timetable.delete):
        with pytest.raises(NotFound, match="no schedule 'no'"):
            await act("no")
    with pytest.raises(NotFound):
        await Timetable(store, "stranger").get("hourly")


async def test_a_large_document_is_kept_as_long_as_its_schedule_or_a_job_needs_it(store: Store) -> None:
    large = b"word " * (INLINE_BYTES // 4)
    client, timetable = Client(store), Timetable(store)
    stored_file = await client.receive(pieces(large), "large.txt")
    await timetable.put_job("hourly", stored_file, "large.txt", cron=NEVER, pipeline="counting")
    assert await violations(store) == {}
    await set_due(store, datetime.now(UTC))
    async with running(store, COUNTING):
        fired = await when(store, lambda each: each["fired"] == 1)
        assert (await until(store, fired["last"]["job"])).state == "succeeded"
    await hourly(store)  # replaces it: the job still has the document
    assert await store.db["documents.files"].count_documents({}) == 1
    assert await violations(store) == {}
    other = await client.receive(pieces(large), "large.txt")
    await timetable.put_job("other", other, "large.txt", cron=NEVER, pipeline="counting")
    await timetable.delete("other")
    assert await store.db["documents.files"].count_documents({}) == 1
    assert await violations(store) == {}


async def test_schedules_over_rest(store: Store) -> None:
    async with api(store) as served:
        form = {"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "pipeline": "counting"}
        path, file = "/v1/schedules/nightly", {"file": ("a.txt", b"one two")}
        put = await served.http.put(path, data=form, files=file)
        assert put.status_code == 200, put.text
        view = put.json()
        assert (view["name"], view["pipeline"], view["document"]["name"]) == ("nightly", "counting", "a.txt")
        assert (await served.http.post(f"{path}/pause")).json()["paused"]
        assert not (await served.http.post(f"{path}/resume")).json()["paused"]
        assert await served.get(path) == view
        task = {"cron": (None, "0 4 * * *"), "task": (None, "cleanup")}
        assert (await served.http.put("/v1/schedules/tidy", files=task)).json()["task"] == "cleanup"
        assert [each["name"] for each in await served.get("/v1/schedules")] == ["nightly", "tidy"]
        assert (await served.http.delete(path)).status_code == 204
        check_problem(await served.http.get(path), 404, "no schedule 'nightly'")
        for data, files, words in (
            (form | {"cron": "never"}, file, "cannot be understood"),
            (form | {"params": '{"no": {}}'}, file, "no stage 'no'"),
            (form | {"pipeline": "no"}, file, "no worker knows"),
            (form | {"surprise": "1"}, file, "surprise"),
            (form, {"priority": (None, "0")}, "or a built-in `task`"),
            (form | {"task": "cleanup"}, file, "not both"),
            ({"task": "tidy", "cron": NEVER}, {"priority": (None, "0")}, "no built-in task"),
        ):
            check_problem(await served.http.put(path, data=data, files=files), 422, words)
        assert await served.get("/v1/retention") == {"keep": None}
        kept = await served.http.put("/v1/retention", json={"keep": "P30D"})
        assert (kept.json(), await served.get("/v1/retention")) == ({"keep": "P30D"}, {"keep": "P30D"})
        check_problem(await served.http.put("/v1/retention", json={"keep": -1}), 422, "not negative")
