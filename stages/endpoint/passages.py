"""Cuts a document's pages into chunks that fit one request each."""

from collections.abc import Iterator, Mapping, Sequence

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


def chunks(pages: Sequence[Page], limit: int, tokens: Sequence[int] | None = None) -> list[Chunk]:
    """Return chunks of at most `limit` tokens, in order; pages without text are left out.

    A page is only divided when it alone is longer than a chunk; its tokens then count as spread evenly
    over its characters. `tokens` are the pages'; each character is one where they are not given.
    """
    made: list[Chunk] = []
    room = 0.0
    for page, size in zip(pages, tokens or [len(page.text) for page in pages], strict=True):
        each = size / max(1, len(page.text))
        for span in _spans(page, max(1, int(limit / each)) if each else limit):
            if not made or span.size * each > room:
                made.append([])
                room = limit
            made[-1].append(span)
            room -= span.size * each
    return made


def name_of(chunk: Chunk) -> str:
    """Return what a part of a document is called, by its first and last place: `text 2.0-3.351`."""
    return f"text {chunk[0].page}.{chunk[0].start}-{chunk[-1].page}.{chunk[-1].end}"


def halves(chunk: Chunk, pages: Mapping[int, Page], least: int) -> tuple[Chunk, Chunk] | None:
    """Return the chunk in two parts of about the same length; None where it has under `least` characters."""
    size = sum(span.size for span in chunk)
    if size < least:
        return None
    first: Chunk = []
    left = size // 2
    for at, span in enumerate(chunk):
        if span.size > left:
            text = pages[span.page].text[: span.end]
            cut = _cut(text, span.start, left) if left else span.start
            if cut > span.start:
                first.append(Span(page=span.page, start=span.start, end=cut))
            return first, [Span(page=span.page, start=cut, end=span.end), *chunk[at + 1 :]]
        first.append(span)
        left -= span.size
    raise AssertionError("half of it is less than all of it")


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
