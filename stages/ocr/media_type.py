"""Tells what a file is by its content. Names and declared types are data, not evidence."""

import re
import zipfile
from enum import StrEnum
from typing import BinaryIO

from pipeline import PermanentError


class MediaType(StrEnum):
    """What the stage reads."""

    PDF = "pdf"
    IMAGE = "image"
    DOCX = "docx"
    MESSAGE = "message"
    HTML = "html"
    TEXT = "text"


TAKEN = "PDF, PNG, JPEG, TIFF, WebP, BMP, DOCX, EML, HTML and plain text"

_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TEXT_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\b\x1b\x1a")
_HTML = re.compile(
    rb"(?:\xff\xfe|\xfe\xff)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)[\s>]",
    re.I | re.S,
)
_HEADERS = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t]+[^\n]*\n)*){2,}")
_BY_PROGRAM = re.compile(rb"^(?:message-id|mime-version|received|return-path|dkim-signature):", re.I | re.M)
_HEAD = 4096
"""Bytes that are looked at; a PDF's mark may be anywhere in the first 1,024."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def detect(file: BinaryIO) -> MediaType:
    """Return what the file is.

    Raises:
        PermanentError: it is empty, or nothing that the stage reads.
    """
    head = file.read(_HEAD)
    if not head:
        raise PermanentError("the document is empty: submit a file with content")
    if b"%PDF-" in head[:1024]:
        return MediaType.PDF
    if _is_image(head):
        return MediaType.IMAGE
    if head.startswith(b"PK\x03\x04"):
        return _in_archive(file)
    if head.startswith(_OLE):
        raise PermanentError(
            "the document is an old or password-protected Office file: save it as DOCX without a password"
        )
    if _is_message(head):
        return MediaType.MESSAGE
    if _HTML.match(head.removeprefix(_TEXT_MARKS[0]).replace(b"\0", b"")):
        return MediaType.HTML
    if head.startswith(_TEXT_MARKS) or all(byte >= 32 or byte in _TEXT_CONTROLS for byte in head):
        return MediaType.TEXT
    raise PermanentError(f"the document's content is of no type that is read here: submit {TAKEN}")


def is_taken(file: BinaryIO) -> bool:
    """Whether the file is something that the stage reads; whole or broken, it can't tell."""
    try:
        detect(file)
    except PermanentError:
        return False
    return True


def _is_image(head: bytes) -> bool:
    bitmap = head.startswith(b"BM") and head[6:10] == bytes(4)
    web = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return head.startswith(_IMAGE_STARTS) or bitmap or web


def _is_message(head: bytes) -> bool:
    """True for what a mail program wrote; a letter that begins with `From:` and `To:` is plain text."""
    headers = _HEADERS.match(head)
    return headers is not None and _BY_PROGRAM.search(headers[0]) is not None


def _in_archive(file: BinaryIO) -> MediaType:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise PermanentError(
            f"the document is a broken or cut short archive ({error}): submit the whole file"
        ) from error
    if "word/document.xml" in names:
        return MediaType.DOCX
    raise PermanentError(f"the document is an archive, but not DOCX: submit {TAKEN}")
