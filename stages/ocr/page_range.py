"""Which pages are asked for: `1-3,7,12-`."""

import re
from collections.abc import Iterator

_PART = re.compile(r"\s*(?:(\d{1,6})\s*-\s*(\d{1,6})?|(\d{1,6})|-\s*(\d{1,6}))\s*")


def check(pages: str) -> str:
    """Return what is a range.

    Raises:
        ValueError: it is none.
    """
    for first, last in _parts(pages):
        if first < 1 or (last is not None and last < first):
            raise ValueError(f"pages are numbered from 1, and {pages!r} runs backwards or begins before that")
    return pages


def numbers(pages: str | None, count: int) -> list[int]:
    """Return the numbers asked for of a document of so many pages, in order, each once."""
    if pages is None:
        return list(range(1, count + 1))
    asked: set[int] = set()
    for first, last in _parts(pages):
        asked.update(range(first, min(last or count, count) + 1))
    return sorted(asked)


def _parts(pages: str) -> Iterator[tuple[int, int | None]]:
    for part in pages.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no range of pages: give them as in 1-3,7,12-")
        first, last, single, until = match.groups()
        if single:
            yield int(single), int(single)
        elif until:
            yield 1, int(until)
        else:
            yield int(first), int(last) if last else None
