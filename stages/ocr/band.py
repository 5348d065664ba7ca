"""A stretch of a page left and right of a gutter, and whether its sides are texts of their own."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import fmean, median

from stages.ocr.placed import Placed, group_rows, starts_cell

_MIN_CHARACTERS = 13
"""Length of a line of prose without its spaces; cells of tables and labels of forms are shorter."""
_MIN_LONG = 0.7
"""Share of lines of prose that are so long; the last ones of paragraphs are not."""
_MIN_LETTERS = 0.6
"""Share of letters in prose; columns of numbers have fewer."""
_SOME_LETTERS = 0.3
"""Share of letters in an address, or in a list of labels with their values."""
_MIN_DENSITY = 0.6
"""Rows of the sparser column over rows of the denser one: labels beside paragraphs are sparse."""
_MIN_OFFSET = 0.2
"""In line heights: rows of a table are level with each other to half of that."""
_OTHER_SIZE = 1.3
"""Ratio of the heights of two rows that are never one, level or not."""
_LONG_COLUMNS = 8
"""Rows of columns that go on below an empty stripe even where one of them has ended."""


@dataclass(frozen=True)
class Band:
    """What stands left and right of a gutter at one height, or what crosses it there."""

    crossing: list[Placed]
    left: list[Placed]
    right: list[Placed]

    @cached_property
    def side_by_side(self) -> int:
        """Rows that stand beside a text of their own; 0 when both sides belong together, as in a table.

        Two columns of prose are texts of their own, and so are two blocks the rows of which are not
        level with each other, such as a letterhead and the address of its sender.
        """
        if not self.left or not self.right:
            return 0
        sides = [group_rows(self.left), group_rows(self.right)]
        left, right = self._beside(sides)
        fewer, more = sorted((len(left), len(right)))
        if not fewer:
            return 0
        letters = min(_letter_share(left), _letter_share(right))
        if letters >= _SOME_LETTERS and _offset(left, right) >= _MIN_OFFSET:
            return max(map(len, sides))
        columns = fewer >= _MIN_DENSITY * more and _is_prose(left) and _is_prose(right)
        return fewer if columns else 0

    def _beside(self, sides: list[list[list[Placed]]]) -> list[list[list[Placed]]]:
        """Return the rows of each side at whose height there is something on the other."""
        top = max(min(each.top for each in side) for side in (self.left, self.right))
        bottom = min(max(each.bottom for each in side) for side in (self.left, self.right))
        return [[row for row in rows if top <= row[0].middle <= bottom] for rows in sides]

    def continues(self, above: "Band") -> bool:
        """True when this has the columns of the band above: they start at the same places."""
        rows = above.side_by_side
        if self.crossing or not rows or (rows < _LONG_COLUMNS and not self.side_by_side):
            return False
        return all(
            abs(min(each.left for each in mine) - min(each.left for each in its)) < mine[0].height
            for mine, its in ((self.left, above.left), (self.right, above.right))
            if mine
        )


def _is_prose(rows: list[list[Placed]]) -> bool:
    lengths = [length for row in rows for length in _cell_lengths(row)]
    long = sum(length >= _MIN_CHARACTERS for length in lengths)
    return long >= _MIN_LONG * len(lengths) and _letter_share(rows) >= _MIN_LETTERS


def _cell_lengths(row: list[Placed]) -> list[int]:
    """Return the characters of each cell; the columns of prose that a row goes through are its cells."""
    lengths = [len(_characters(row[:1]))]
    for before, after in pairwise(row):
        if starts_cell(before, after):
            lengths.append(0)
        lengths[-1] += len(_characters([after]))
    return lengths


def _characters(row: list[Placed]) -> str:
    return "".join(each.fragment.text for each in row).replace(" ", "")


def _letter_share(rows: list[list[Placed]]) -> float:
    text = "".join(map(_characters, rows))
    return sum(character.isalpha() for character in text) / len(text)


def _offset(left: list[list[Placed]], right: list[list[Placed]]) -> float:
    """Return how far rows are from being level with a row of the other side: mean, in line heights."""
    fewer, more = sorted((left, right), key=len)
    return fmean(min(_row_offset(one, other) for other in more) for one in fewer)


def _row_offset(one: list[Placed], other: list[Placed]) -> float:
    heights = [median(each.height for each in row) for row in (one, other)]
    if max(heights) > _OTHER_SIZE * min(heights):
        return 1.0
    middles = [median(each.middle for each in row) for row in (one, other)]
    return min(abs(middles[0] - middles[1]) / max(heights), 1.0)
