"""Where on which page a mention stands."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from pipeline import PermanentError
from stages.ner.span import Span
from stages.outputs import Box, Entity, OcrOutput, Page, Word


def check(text: OcrOutput) -> None:
    """Refuse pages whose offsets don't fit the whole text.

    Raises:
        PermanentError: names the page, and what the stage before must give.
    """
    for page in text.pages:
        if page.start < 0 or not text.text.startswith(page.text, page.start):
            raise PermanentError(
                f"page {page.number} does not start at offset {page.start} of the text: "
                "the stage before must give each page's `start` in the whole `text`"
            )


def entities(text: OcrOutput, spans: Iterable[Span]) -> Iterator[Entity]:
    """Yield an entity for each span of the whole text; its text is that of the span, line breaks included."""
    pages = sorted(text.pages, key=lambda page: page.start)
    starts = [page.start for page in pages]
    words: dict[int, list[Word]] = {}
    for span in spans:
        index = bisect_right(starts, span.start) - 1
        page = pages[index]
        if index not in words:
            words[index] = sorted(page.words, key=lambda word: word.start)
        yield Entity(
            label=span.label,
            text=text.text[span.start : span.end],
            start=span.start,
            end=span.end,
            page=page.number,
            box=_box(words[index], span, page),
            score=span.score,
            normalized=span.normalized,
            engine=span.engines[0],
            engines=list(span.engines),
        )


def _box(words: Sequence[Word], span: Span, page: Page) -> Box | None:
    """Return the box around all words that share a character with the span; `words` are in order."""
    start, end = span.start - page.start, span.end - page.start
    first = bisect_left(words, start, key=lambda word: word.end - 1)
    last = bisect_left(words, end, key=lambda word: word.start)
    boxes = [word.box for word in words[first:last]]
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
