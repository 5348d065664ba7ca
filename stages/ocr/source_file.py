"""The local copy of a document, as child processes know it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A path with what tells two contents of it apart, so that opened files can be cached by it."""

    path: str
    size: int
    modified: int
    """Nanoseconds since the epoch."""

    @classmethod
    def at(cls, path: Path) -> "SourceFile":
        """Describe the file that is there now."""
        status = path.stat()
        return cls(str(path), status.st_size, status.st_mtime_ns)
