"""Multipart uploads, parsed while they arrive: a document never rests on this machine's disk.

The framework's own form parser spools whole files before a route sees them.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from api.problems import BadRequest, TooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD = 64 * 1024
"""Bytes of a form field that is not the document."""
MAX_PARTS = 20
"""Parts of a form; a few more than there are fields, so that a wrong one can be named."""


class Part:
    """One part of a form. Read its content before asking for the next part."""

    def __init__(self, name: str, filename: str | None, content: AsyncIterator[bytes]) -> None:
        self.name = name
        self.filename = filename
        """None for a plain field."""
        self._content = content

    async def content(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the content in pieces.

        Raises:
            TooLarge: it has more bytes than `limit`.
        """
        size = 0
        async for piece in self._content:
            size += len(piece)
            if size > limit:
                raise TooLarge(f"{self.name!r} has more than the {limit} bytes that this server takes")
            yield piece

    async def text(self) -> str:
        """Return a plain field's value.

        Raises:
            BadRequest: it is not UTF-8.
            TooLarge: it has more than 64 KiB.
        """
        raw = b"".join([piece async for piece in self.content(MAX_FIELD)])
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"the form field {self.name!r} is not UTF-8") from error


class Upload:
    """A multipart request, read part by part."""

    def __init__(self, request: Request) -> None:
        self._body = request.stream()
        self._parser = MultipartParser(_boundary(request), self._callbacks())
        self._items: deque[Part | bytes | None] = deque()
        """A part's beginning, pieces of its content, None at its end; in the order of arrival."""
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._complete = False

    async def parts(self) -> AsyncIterator[Part]:
        """Yield the parts as they arrive.

        Raises:
            BadRequest: this is no complete multipart form, or it has too many parts.
        """
        count = 0
        while await self._arrived():
            item = self._items.popleft()
            if isinstance(item, Part):
                count += 1
                if count > MAX_PARTS:
                    raise BadRequest(f"the form has more than {MAX_PARTS} fields")
                yield item

    async def _content(self) -> AsyncIterator[bytes]:
        while await self._arrived():
            item = self._items.popleft()
            if not isinstance(item, bytes):
                return
            yield item

    async def _arrived(self) -> bool:
        """Wait for the next item; False at the end of the form."""
        while not self._items:
            try:
                chunk = await anext(self._body)
                self._parser.write(chunk)
            except StopAsyncIteration:
                if not self._complete:
                    raise BadRequest("the multipart form ends too early") from None
                return False
            except ClientDisconnect as error:
                raise BadRequest("the connection ended before the multipart form did") from error
            except FormParserError as error:
                raise BadRequest(f"the multipart form is broken: {error}") from error
        return True

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._headers_begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._part_begins,
            "on_part_data": lambda data, start, end: self._items.append(data[start:end]),
            "on_part_end": lambda: self._items.append(None),
            "on_end": self._ends,
        }

    def _ends(self) -> None:
        self._complete = True

    def _headers_begin(self) -> None:
        self._headers = {}

    def _header_ends(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = (bytearray(), bytearray())

    def _part_begins(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename = options.get(b"filename")
        name = options.get(b"name", b"").decode(errors="replace")
        given = None if filename is None else filename.decode(errors="replace")
        self._items.append(Part(name, given, self._content()))


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise BadRequest("send the document as multipart/form-data, in the form field `file`")
    return options[b"boundary"]
