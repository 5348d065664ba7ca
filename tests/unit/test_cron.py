"""When a cron expression is due in its zone, and what becomes of missed ticks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.cron import cron
from pipeline.errors import SubmissionError
from pipeline.ticks import TOLERANCE, Tick, due, job_of_tick


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[arg-type]


def test_ticks_are_after_a_time_and_until_it() -> None:
    daily = cron("30 3 * * *", "UTC")
    assert daily.after(at(2026, 1, 1, 3, 30)) == at(2026, 1, 2, 3, 30)
    assert daily.until(at(2026, 1, 1, 3, 30)) == at(2026, 1, 1, 3, 30)
    assert daily.until(at(2026, 1, 1, 3, 30, 0, 999_999)) == at(2026, 1, 1, 3, 30)
    assert daily.until(at(2026, 1, 1, 3, 29, 59, 999_999)) == at(2025, 12, 31, 3, 30)
    every_second = cron("* * * * * *", "UTC")
    assert every_second.after(at(2026, 1, 1, 0, 0, 1, 5)) == at(2026, 1, 1, 0, 0, 2)


def test_a_zone_puts_its_clocks_forward_and_back() -> None:
    berlin = cron("30 2 * * *", "Europe/Berlin")
    assert berlin.after(at(2026, 3, 27, 12)) == at(2026, 3, 28, 1, 30)
    # On 29 March there is no 2:30: it is due when that would have been, at 3:00 of summer time.
    assert berlin.after(at(2026, 3, 28, 12)) == at(2026, 3, 29, 1, 0)
    # On 25 October it is 2:30 twice: due the first time only.
    assert berlin.after(at(2026, 10, 24, 12)) == at(2026, 10, 25, 0, 30)
    assert berlin.after(at(2026, 10, 25, 0, 30)) == at(2026, 10, 26, 1, 30)
    assert cron("0 * * * *", "Europe/Berlin").after(at(2026, 3, 29, 0, 0)) == at(2026, 3, 29, 1, 0)


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("* * * *", "UTC", "Wrong number of fields"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("every day", "UTC", "cannot be understood"),
        ("", "UTC", "cannot be understood"),
        ("0 0 30 2 *", "UTC", "cannot be understood: Bad day-of-month"),
        ("0 0 * * *", "Europe/Nowhere", "there is no time zone 'Europe/Nowhere'"),
        ("0 0 * * *", "../../etc/passwd", "there is no time zone"),
        ("0 0 * * *", "", "there is no time zone"),
    ],
)
def test_what_cannot_be_understood_is_said(expression: str, zone: str, words: str) -> None:
    with pytest.raises(SubmissionError, match=words):
        cron(expression, zone)


FIVE = cron("*/5 * * * *", "UTC")
FIRST = at(2026, 1, 1, 0, 5)


@pytest.mark.parametrize(
    ("missed", "late", "tick"),
    [
        ("latest", timedelta(seconds=1), Tick(FIRST, at(2026, 1, 1, 0, 10))),
        ("latest", timedelta(minutes=17), Tick(at(2026, 1, 1, 0, 20), at(2026, 1, 1, 0, 25))),
        ("all", timedelta(minutes=17), Tick(FIRST, at(2026, 1, 1, 0, 10))),
        ("skip", TOLERANCE, Tick(FIRST, at(2026, 1, 1, 0, 10))),
        ("skip", timedelta(minutes=17), Tick(None, at(2026, 1, 1, 0, 25))),
        ("skip", timedelta(minutes=15, seconds=30), Tick(at(2026, 1, 1, 0, 20), at(2026, 1, 1, 0, 25))),
    ],
)
def test_the_policy_for_missed_ticks(missed: str, late: timedelta, tick: Tick) -> None:
    assert due({"next_at": FIRST, "missed": missed}, FIVE, FIRST + late) == tick


def test_all_comes_back_for_every_missed_tick() -> None:
    now, fired = FIRST + timedelta(minutes=17), []
    schedule: dict[str, Any] = {"next_at": FIRST, "missed": "all"}
    while schedule["next_at"] <= now:
        tick = due(schedule, FIVE, now)
        fired.append(tick.at)
        schedule["next_at"] = tick.next_at
    assert fired == [at(2026, 1, 1, 0, minute) for minute in (5, 10, 15, 20)]


def test_a_ticks_job_has_an_id_of_its_own() -> None:
    schedule = {
        "_id": "default.nightly", "name": "nightly", "tenant": "default", "created_at": FIRST,
        "job": {"pipeline": "a", "document": {}, "metadata": {"my": 1}},
    }  # fmt: skip
    job = job_of_tick(schedule, FIRST, FIRST)
    assert job_of_tick(schedule, FIRST, FIRST + timedelta(hours=1))["_id"] == job["_id"]
    others = [{**schedule, "created_at": at(2025, 1, 1)}, {**schedule, "_id": "default.other"}]
    assert job["_id"] not in {job_of_tick(each, FIRST, FIRST)["_id"] for each in others}
    assert job["metadata"] == {"my": 1, "schedule": "nightly", "tick": "2026-01-01T00:05:00+00:00"}
