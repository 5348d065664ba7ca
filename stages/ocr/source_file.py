"""The local copy of a document, as child processes know it."""

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A path with what tells two contents of it apart, so that opened files can be cached by it."""

    path: str
    size: int
    """Bytes; of the message for an attachment."""
    modified: int
    """Nanoseconds since the epoch."""
    attachments: tuple[int, ...] = ()
    """Which attachment of the message at `path` this is, from 0; then which of that message, and so on."""

    @classmethod
    def at(cls, path: Path) -> "SourceFile":
        """Describe the file that is there now."""
        status = path.stat()
        return cls(str(path), status.st_size, status.st_mtime_ns)

    def attachment(self, index: int) -> "SourceFile":
        """Return an attachment of this message."""
        return replace(self, attachments=(*self.attachments, index))

    def read(self) -> bytes:
        """Return the content."""
        content = Path(self.path).read_bytes()
        if self.attachments:
            from stages.ocr.message import attached

            for index in self.attachments:
                content = attached(content, index)
        return content

    def open(self) -> BinaryIO:
        """Return the content as a file: the one on disk, or an attachment in memory."""
        return BytesIO(self.read()) if self.attachments else Path(self.path).open("rb")
