"""Tells what a file is by its content. Names and declared types are data, not evidence."""

import zipfile
from enum import StrEnum
from pathlib import Path

from pipeline import PermanentError


class MediaType(StrEnum):
    """What the stage reads."""

    PDF = "pdf"
    IMAGE = "image"
    DOCX = "docx"
    TEXT = "text"


TAKEN = "PDF, PNG, JPEG, TIFF, WebP, BMP, DOCX and plain text"

_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TEXT_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\b\x1b\x1a")
_HEAD = 4096
"""Bytes that are looked at; a PDF's mark may be anywhere in the first 1,024."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def detect(path: Path) -> MediaType:
    """Return what the file is.

    Raises:
        PermanentError: it is empty, or nothing that the stage reads.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise PermanentError("the document is empty: submit a file with content")
    if b"%PDF-" in head[:1024]:
        return MediaType.PDF
    if _is_image(head):
        return MediaType.IMAGE
    if head.startswith(b"PK\x03\x04"):
        return _in_archive(path)
    if head.startswith(_OLE):
        raise PermanentError(
            "the document is an old or password-protected Office file: save it as DOCX without a password"
        )
    if head.startswith(_TEXT_MARKS) or all(byte >= 32 or byte in _TEXT_CONTROLS for byte in head):
        return MediaType.TEXT
    raise PermanentError(f"the document's content is of no type that is read here: submit {TAKEN}")


def _is_image(head: bytes) -> bool:
    bitmap = head.startswith(b"BM") and head[6:10] == bytes(4)
    web = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return head.startswith(_IMAGE_STARTS) or bitmap or web


def _in_archive(path: Path) -> MediaType:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise PermanentError(
            f"the document is a broken or cut short archive ({error}): submit the whole file"
        ) from error
    if "word/document.xml" in names:
        return MediaType.DOCX
    raise PermanentError(f"the document is an archive, but not DOCX: submit {TAKEN}")
