"""Errors that come back from child processes, as JSON: what stages raise as itself, others by name."""

import resource
import traceback
from datetime import timedelta
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationError

from pipeline.errors import (
    ChildError,
    ChildProcessDied,
    InvalidAnswer,
    MillraceError,
    PermanentError,
    Snooze,
    TemporaryError,
)

_LONGEST_NAME = 200
_LONGEST_DELAY = timedelta(days=366)

Kind = Literal["temporary", "snooze", "permanent", "memory", "other"]


class Raised(BaseModel):
    """An error as it crosses."""

    kind: Kind
    type: str = Field(max_length=_LONGEST_NAME)
    message: str
    trace: str
    delay: timedelta | None = Field(default=None, le=_LONGEST_DELAY)
    """Until it is to be tried again, when the error says so."""

    @classmethod
    def by(cls, error: Exception) -> Self:
        """Describe an error."""
        kind: Kind = "other"
        message, delay = str(error), None
        match error:
            case PermanentError():
                kind = "permanent"
            case TemporaryError():
                kind, delay = "temporary", error.retry_after
            case Snooze():
                kind, delay = "snooze", error.delay
            case MemoryError():
                kind, message = "memory", _out_of_memory()
        return cls(
            kind=kind,
            type=type(error).__name__[:_LONGEST_NAME],
            message=_text(message),
            trace=_text("".join(traceback.format_exception(error))),
            delay=delay and min(delay, _LONGEST_DELAY),
        )

    @classmethod
    def of(cls, answer: bytearray) -> Self:
        """Return the error that an answer describes.

        Raises:
            InvalidAnswer: it describes none.
        """
        try:
            return cls.model_validate_json(answer)
        except ValidationError:
            raise InvalidAnswer("a child process answered with an error that is none") from None

    def error(self) -> MillraceError:
        """Return the error to raise here, with the child's traceback as a note."""
        error = self._error()
        error.add_note(f"In the child process:\n{self.trace}")
        return error

    def _error(self) -> MillraceError:
        match self.kind, self.delay:
            case "permanent", _:
                return PermanentError(self.message)
            case "temporary", delay:
                return TemporaryError(self.message, retry_after=delay)
            case "snooze", timedelta() as delay:
                return Snooze(delay, self.message)
            case "memory", _:
                return ChildProcessDied(self.message)
        return ChildError(self.type, self.message)


def _out_of_memory() -> str:
    allowed = resource.getrlimit(resource.RLIMIT_DATA)[0] // 1024**2
    return f"ran out of memory: it may have {allowed:,} MiB (MILLRACE_WORKER_CHILD_MEMORY)"


def _text(text: str) -> str:
    """Escape what isn't valid Unicode, as in an error that quotes damaged text."""
    return text.encode(errors="backslashreplace").decode()
