"""Server-sent events as bytes."""

from datetime import UTC, datetime

import pytest

from api.messages import message


@pytest.mark.parametrize(
    ("id_", "encoded"),
    [
        (None, b'event: stage\ndata: {"name":"ocr"}\n\n'),
        ("AbC-_", b'event: stage\ndata: {"name":"ocr"}\nid: AbC-_\n\n'),
    ],
)
def test_a_message_is_an_event_with_its_data_and_perhaps_an_id(id_: str | None, encoded: bytes) -> None:
    assert message("stage", {"name": "ocr"}, id_).encoded == encoded


def test_whatever_the_data_hold_they_are_one_line_and_times_have_a_zone() -> None:
    data = {"error": "broken\r\nid: forged\n\nevent: end", "at": datetime(2030, 1, 31, 8, tzinfo=UTC)}
    told = message("stage", data, "x").encoded
    assert told.count(b"\n") == 4
    assert b"\r" not in told
    assert b'"at":"2030-01-31T08:00:00Z"' in told
