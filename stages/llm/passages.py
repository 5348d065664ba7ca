"""Cuts a document's pages into chunks that fit one request each."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from stages.outputs import Page


class Span(BaseModel):
    """A part of one page's text, half open; usually all of it."""

    page: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Characters."""
        return self.end - self.start


Chunk = list[Span]


def chunks(pages: Sequence[Page], limit: int) -> list[Chunk]:
    """Return chunks of at most `limit` characters, in order; pages without text are left out.

    A page is only divided when it alone is longer than a chunk.
    """
    made: list[Chunk] = []
    room = 0
    for page in pages:
        for span in _spans(page, limit):
            if span.size > room:
                made.append([])
                room = limit
            made[-1].append(span)
            room -= span.size
    return made


def _spans(page: Page, limit: int) -> Iterator[Span]:
    start, end = 0, len(page.text)
    while start < end:
        stop = _cut(page.text, start, limit)
        if page.text[start:stop].strip():
            yield Span(page=page.number, start=start, end=stop)
        start = stop


def _cut(text: str, start: int, limit: int) -> int:
    """Return where to cut, after a paragraph, a line or a word in the second half where there is one."""
    if len(text) - start <= limit:
        return len(text)
    for separator in ("\n\n", "\n", " "):
        found = text.rfind(separator, start + limit // 2, start + limit)
        if found >= 0:
            return min(found + len(separator), start + limit)
    return start + limit
