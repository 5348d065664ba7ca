"""The document that a job is about, as stage code sees it."""

from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import AsyncFile

from pipeline.attempt_services import AttemptServices


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes that a user submitted."""

    name: str
    """As the submitter gave it; data, not a path."""
    media_type: str
    """As the submitter gave it; the content decides."""
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""
    services: AttemptServices

    async def path(self) -> Path:
        """Return a local copy, valid until the attempt ends. Read it, don't change it."""
        return await self.services.document_path()

    async def open(self) -> AsyncFile[bytes]:
        """Open it for reading: `async with await document.open() as file`."""
        return await anyio.open_file(await self.path(), "rb")

    async def read(self) -> bytes:
        """Return the whole content."""
        return await anyio.Path(await self.path()).read_bytes()
