"""What is searched in one go: a page, or a piece of one that is too long for that."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.outputs import Page

LONGEST = 100_000
"""Characters: some seconds of work, so that a checkpoint and a step of progress come as often."""
_ENDS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"\s"))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a page."""

    start: int
    """Its offset in the whole text."""
    text: str


def split(pages: Sequence[Page]) -> list[Part]:
    """Return the pages' texts in order, pages over 100,000 characters in pieces.

    A piece ends at an empty line, or else at a line's end, or else at a word's, where its last tenth
    has one. What is named across the end of a page or a piece is not found.
    """
    return [
        Part(page.start + start, page.text[start:end]) for page in pages for start, end in _pieces(page.text)
    ]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while len(text) - start > LONGEST:
        end = _end(text, start)
        yield start, end
        start = end
    yield start, len(text)


def _end(text: str, start: int) -> int:
    limit = start + LONGEST
    for pattern in _ENDS:
        ends = [match.end() for match in pattern.finditer(text, limit - LONGEST // 10, limit)]
        if ends:
            return ends[-1]
    return limit


def batches(parts: Sequence[Part], characters: int) -> list[list[Part]]:
    """Return the parts in order, in groups of at most so many characters; a longer one is a group."""
    groups: list[list[Part]] = []
    size = 0
    for part in parts:
        if not groups or size + len(part.text) > characters:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += len(part.text)
    return groups
