"""The board in a terminal merges the API's events."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from api.board import Board, board, follow

Json = dict[str, Any]


def stage(name: str, state: str = "waiting", **fields: Any) -> Json:
    return {"name": name, "state": state, "attempt": 0, "progress": None, "error": None, **fields}


def job(number: int = 1) -> Json:
    return {
        "id": f"job-{number}",
        "state": "submitted",
        "document": {"name": f"scan-{number}.pdf"},
        "stages": [stage("ocr"), stage("ner")],
    }


@pytest.fixture
def screen() -> StringIO:
    return StringIO()


@pytest.fixture
def shown(screen: StringIO) -> Iterator[Board]:
    with board(Console(file=screen, width=120, force_terminal=False)) as opened:
        opened.add(job())
        yield opened


def states(shown: Board) -> list[str]:
    return [each["state"] for each in shown.jobs["job-1"]["stages"]]


def test_a_stage_takes_what_an_event_tells(shown: Board) -> None:
    shown.apply("stage", {"job": "job-1", "name": "ocr", "state": "running", "attempt": 1})
    assert states(shown) == ["running", "waiting"]
    assert "job" not in shown.jobs["job-1"]["stages"][0]


def test_progress_is_merged_of_parts(shown: Board) -> None:
    for progress in ({"done": 0, "total": 4, "unit": "page"}, {"done": 1}, {"done": 2}):
        shown.apply("stage", {"job": "job-1", "name": "ocr", "progress": progress})
    assert shown.jobs["job-1"]["stages"][0]["progress"] == {"done": 2, "total": 4, "unit": "page"}
    shown.apply("stage", {"job": "job-1", "name": "ocr", "state": "running"})
    assert shown.jobs["job-1"]["stages"][0]["progress"]["done"] == 2
    assert shown.jobs["job-1"]["stages"][1]["progress"] is None


def test_a_job_takes_its_state_and_keeps_its_stages(shown: Board) -> None:
    shown.apply("stage", {"job": "job-1", "name": "ocr", "state": "running"})
    shown.apply("state", {"job": "job-1", "state": "running", "stages": ["ocr", "ner"]})
    assert shown.jobs["job-1"]["state"] == "running"
    assert states(shown) == ["running", "waiting"]


def test_a_job_shown_afresh_replaces_what_was_known(shown: Board) -> None:
    fresh = job()
    fresh["stages"][0] = stage("ocr", "succeeded", attempt=1)
    shown.apply("job", fresh)
    assert states(shown) == ["succeeded", "waiting"]


@pytest.mark.parametrize("event", ["job", "state", "stage", "heartbeat"])
def test_other_jobs_and_other_events_change_nothing(shown: Board, event: str) -> None:
    stranger = {**job(2), "job": "job-2", "name": "ocr", "state": "failed"}
    shown.apply(event, stranger)
    assert list(shown.jobs) == ["job-1"]
    assert states(shown) == ["waiting", "waiting"]
    shown.apply("heartbeat", {})


def test_it_has_ended_when_every_job_has(shown: Board) -> None:
    shown.add(job(2))
    for number, state in ((1, "succeeded"), (2, "cancelled")):
        assert not shown.ended()
        shown.apply("state", {"job": f"job-{number}", "state": state})
    assert shown.ended()


def test_following_stops_at_the_end(shown: Board) -> None:
    read: list[str] = []

    def events() -> Iterator[tuple[str, Json]]:
        for state in ("running", "failed", "running"):
            read.append(state)
            yield "state", {"job": "job-1", "state": state}

    follow(shown, events())
    assert read == ["running", "failed"]


def test_it_draws_names_states_and_counts(screen: StringIO) -> None:
    with board(Console(file=screen, width=120, force_terminal=False)) as shown:
        shown.add(job())
        progress = {"done": 2, "total": 5, "unit": "page"}
        running = {"job": "job-1", "name": "ocr", "state": "running", "attempt": 2, "progress": progress}
        shown.apply("stage", running)
    drawn = screen.getvalue()
    assert "scan-1.pdf" in drawn
    assert "running 2/5 pages (attempt 2)" in drawn
    assert "waiting" in drawn


def test_progress_without_a_total_is_counted_and_its_note_shown(screen: StringIO) -> None:
    with board(Console(file=screen, width=120, force_terminal=False)) as shown:
        shown.add(job())
        progress = {"done": 312, "total": None, "unit": "token", "note": "[thinking]"}
        shown.apply("stage", {"job": "job-1", "name": "ocr", "state": "running", "progress": progress})
    assert "running 312 tokens, [thinking]" in screen.getvalue()


def test_names_are_shown_as_they_are(screen: StringIO) -> None:
    with board(Console(file=screen, width=120, force_terminal=False)) as shown:
        named = job()
        named["document"]["name"] = "a[/b][red]"
        shown.add(named)
        progress = {"done": 1, "total": 2, "unit": "[/unit]"}
        shown.apply("stage", {"job": "job-1", "name": "ocr", "state": "running", "progress": progress})
    assert "a[/b][red]" in screen.getvalue()
    assert "1/2 [/unit]s" in screen.getvalue()
