"""Reads EML: headers, text and names of attachments, which are further pages where they can be read."""

import email
from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.message import EmailMessage

from pipeline import PermanentError
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.ocr.web_page import text_of
from stages.outputs import Page

MAX_ATTACHMENTS = 100
_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_BROKEN = (MessageError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What Python's own parser raises on headers and encodings that are none."""


def count_pages(_file: SourceFile, _settings: PageSettings) -> int:
    """Return 1, without the attachments."""
    return 1


def engine_of(_file: SourceFile) -> str:
    """Return `email`."""
    return "email"


def read_page(file: SourceFile, number: int, _settings: PageSettings) -> Page:
    """Return the message's headers and text.

    Raises:
        PermanentError: it is broken.
    """
    message = _parsed(file.read())
    try:
        text = "\n\n".join(part for part in _parts(message) if part)
    except _BROKEN as error:
        raise _broken(error) from error
    return Page(number=number, text=text, method="text" if text else "empty")


def attachment_names(content: bytes) -> list[str]:
    """Return the attachments' names, in order; one without a name is called by its type.

    Raises:
        PermanentError: the message is broken, or they are too many.
    """
    try:
        return [_name(part) for part in _attachments(_parsed(content))]
    except _BROKEN as error:
        raise _broken(error) from error


def attached(content: bytes, index: int) -> bytes:
    """Return the content of an attachment, counted from 0.

    Raises:
        PermanentError: it is broken.
    """
    try:
        part = _attachments(_parsed(content))[index]
        if part.get_content_type() == "message/rfc822":
            return bytes(part.get_content().as_bytes())
        payload = part.get_payload(decode=True)
    except _BROKEN as error:
        raise PermanentError(f"the attachment is broken ({error}): send it again") from error
    return payload if isinstance(payload, bytes) else b""


def _parsed(content: bytes) -> EmailMessage:
    try:
        return email.message_from_bytes(content, policy=policy.default)
    except _BROKEN as error:
        raise _broken(error) from error


def _broken(error: Exception) -> PermanentError:
    return PermanentError(f"the message is broken ({error}): open it in a mail program and save it again")


def _attachments(message: EmailMessage) -> list[EmailMessage]:
    found = [part for part in message.iter_attachments() if isinstance(part, EmailMessage)]
    if len(found) > MAX_ATTACHMENTS:
        raise PermanentError(
            f"the message has {len(found):,} attachments: forward at most {MAX_ATTACHMENTS} in one"
        )
    return found


def _parts(message: EmailMessage) -> Iterator[str]:
    headers = ((name, _header(message, name)) for name in _SHOWN)
    yield "\n".join(f"{name}: {value}" for name, value in headers if value)
    body = message.get_body(preferencelist=("plain", "html"))
    if isinstance(body, EmailMessage):
        text = _decoded(body)
        yield text_of(text) if body.get_content_subtype() == "html" else text.strip()
    names = [_name(part) for part in _attachments(message)]
    yield f"Attachments: {', '.join(names)}" if names else ""


def _header(message: EmailMessage, name: str) -> str:
    """Return a header's value; as it was sent where it can't be understood."""
    try:
        value = str(message[name] or "")
    except _BROKEN:
        sent = {each.lower(): value for each, value in message.raw_items()}
        value = str(sent[name.lower()])
    return " ".join(value.encode(errors="replace").decode().split())


def _decoded(body: EmailMessage) -> str:
    payload = body.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        text = payload.decode(body.get_content_charset("utf-8"))
    except (UnicodeDecodeError, LookupError):  # it isn't what it says, or says what nobody knows
        text = payload.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n")


def _name(part: EmailMessage) -> str:
    return " ".join((part.get_filename() or part.get_content_type()).split())
