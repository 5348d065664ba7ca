"""Makes a page's text, words and blocks of its fragments."""

import math
from collections.abc import Sequence

from stages.ocr.fragment import Fragment, FragmentWord, enclosing
from stages.ocr.page_source import PageSource
from stages.ocr.reading_order import Row, reading_blocks
from stages.ocr.skew import page_angle
from stages.outputs import Block, Box, Line, Page, Word


def page_of(
    number: int,
    fragments: Sequence[Fragment],
    size: tuple[float, float],
    method: PageSource,
    engine: str | None = None,
) -> Page:
    """Return the page with its fragments in reading order; `empty` when there are none.

    Args:
        number: From 1.
        fragments: Lines or parts of lines, in any order.
        size: Width and height in the unit of the fragments' boxes.
        method: Where the fragments are from.
        engine: What recognised them, if anything did.
    """
    width, height = size
    if not fragments:
        return Page(number=number, text="", method="empty", engine=engine, width=width, height=height)
    text = _Text()
    for rows in reading_blocks(list(fragments)):
        text.add_block(rows)
    return Page(
        number=number,
        text="".join(text.parts),
        method=method,
        engine=engine,
        confidence=_mean_confidence(text.words),
        skew=round(math.degrees(page_angle(fragments)), 2),
        width=width,
        height=height,
        lines=text.lines,
        words=text.words,
        blocks=text.blocks,
    )


class _Text:
    """Text under construction, with the offsets of what was added."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.lines: list[Line] = []
        self.words: list[Word] = []
        self.blocks: list[Block] = []
        self._length = 0

    def add_block(self, rows: list[Row]) -> None:
        if self.blocks:
            self._append("\n\n")
        start = self._length
        for index, row in enumerate(rows):
            if index:
                self._append("\n")
            self._add_row(row)
        box = enclosing([cell.fragment.box for row in rows for cell in row])
        self.blocks.append(Block(start=start, end=self._length, box=_rounded(box)))

    def _add_row(self, row: Row) -> None:
        start, first = self._length, len(self.words)
        for cell in row:
            self._append(cell.separator)
            self._add_fragment(cell.fragment)
        box = enclosing([cell.fragment.box for cell in row])
        confidence = _mean_confidence(self.words[first:])
        self.lines.append(Line(start=start, end=self._length, box=_rounded(box), confidence=confidence))

    def _add_fragment(self, fragment: Fragment) -> None:
        for index, word in enumerate(fragment.words):
            if index:
                self._append(" ")
            self._add_word(word)

    def _add_word(self, word: FragmentWord) -> None:
        start = self._length
        self._append(word.text)
        self.words.append(
            Word(
                text=word.text,
                start=start,
                end=self._length,
                box=_rounded(word.box),
                confidence=None if word.confidence is None else round(word.confidence, 3),
            )
        )

    def _append(self, text: str) -> None:
        self.parts.append(text)
        self._length += len(text)


def _rounded(box: Box) -> Box:
    left, top, right, bottom = box
    return round(left, 1), round(top, 1), round(right, 1), round(bottom, 1)


def _mean_confidence(words: list[Word]) -> float | None:
    recognised = [(len(word.text), word.confidence) for word in words if word.confidence is not None]
    if not recognised:
        return None
    total = sum(length for length, _ in recognised)
    return round(sum(length * confidence for length, confidence in recognised) / total, 3)
