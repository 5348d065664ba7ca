"""One server-sent event, encoded once for all who are told it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json


@dataclass(frozen=True, slots=True)
class Message:
    """A server-sent event, and its bytes."""

    event: str
    data: Mapping[str, Any]
    id: str | None
    """For `Last-Event-ID`; None when a watcher's last one stays."""
    encoded: bytes


def message(event: str, data: Mapping[str, Any], id: str | None = None) -> Message:  # noqa: A002 -- SSE's word
    """Make a message; `data` holds what pydantic can turn into JSON."""
    lines = [b"event: " + event.encode(), b"data: " + to_json(data)]  # JSON has no line breaks
    if id is not None:
        lines.append(b"id: " + id.encode())
    return Message(event, data, id, b"\n".join([*lines, b"", b""]))
