"""Functions that run in child processes, away from the tests: a child imports no more than this."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipeline import PermanentError, Snooze, TemporaryError
from pipeline.processes import Processes


class Scan(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    number: int = Field(alias="No")
    content: bytes


class Raw(BaseModel):
    content: bytes


@dataclass(frozen=True)
class Piece:
    at: tuple[int, float]
    content: bytes

    def moved(self, by: int) -> "Piece":
        return Piece((self.at[0] + by, self.at[1]), self.content)


PIECE = Piece((1, inf), b"\xff\x00")


def own_pid() -> int:
    return os.getpid()


def nothing() -> None:
    return None


def piece() -> Piece:
    return PIECE


def scan() -> Scan:
    return Scan(No=3, content=b"\xfe\xff")


def nested() -> dict[int, list[set[str] | datetime | None]]:
    return {7: [{"a", "b"}, datetime(2026, 1, 2, tzinfo=UTC), None]}


def echo(text: str) -> str:
    return text


def bytes_that_are_no_text() -> Raw:
    return Raw(content=b"\xff")


def numbers() -> list[int]:
    return ["page"]


def many(count: int) -> list[int]:
    return list(range(count))


def unpromised():
    return 1


async def asynchronous() -> int:
    return 1


def unknown() -> "Unknown":  # noqa: F821
    return 1


def no_json() -> Processes:
    return Processes(1)


def fail(error: str) -> None:
    raise {
        "busy": TemporaryError("busy", retry_after=timedelta(seconds=7)),
        "never": TemporaryError("never", retry_after=timedelta.max),
        "later": Snooze(timedelta(minutes=1), "later"),
        "no pages": PermanentError("no pages"),
        "damaged": KeyError("\udcff"),
    }[error]


def talk() -> str:
    print("to standard error")  # noqa: T201
    os.write(1, b"this too\n")
    return sys.stdin.read()


def leave_politely() -> None:
    sys.exit(4)


def environment() -> dict[str, str]:
    return dict(os.environ)


def spin(seconds: float) -> float:
    """Keep the processor busy; returns how long this process has done so in its life."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return time.process_time()


def limits() -> str:
    return Path("/proc/self/limits").read_text()


def grow(size: int) -> int:
    """Keep memory, as a library does that leaks."""
    globals()["kept"] = b"x" * size
    return os.getpid()


def survive_sigterm() -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    return os.getpid()


def start_children() -> None:
    from pipeline.child_process import ChildProcess

    ChildProcess(1024**3)
