"""Puts fragments of lines in the order in which people read them.

Columns of prose that stand side by side are read one after the other; everything else, tables
above all, is read row by row. A gutter is an x where few lines cross and prose stands on both
sides. Lines that cross it (a heading over both columns) divide the page into bands, each of which
is read left side first. Sides are divided in the same way again, which gives three and more
columns. What has no gutter is made into rows, and rows that follow each other closely into blocks.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from stages.ocr.columns import find_gutter, split_at
from stages.ocr.fragment import Fragment
from stages.ocr.placed import Placed, group_rows, starts_cell
from stages.ocr.skew import upright

_PARAGRAPH_PITCH = 1.35
"""In median distances between rows: a larger distance starts a new block."""
_HEADING_HEIGHT = 1.45
"""Ratio of the line heights of two rows that do not belong to one block."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A fragment in its row."""

    separator: str
    """What parts it from the cell before it: nothing at the start, a space, or a tab."""
    fragment: Fragment


Row = list[Cell]


def reading_blocks(fragments: list[Fragment]) -> list[list[Row]]:
    """Return blocks of rows of cells in reading order; every fragment occurs exactly once."""
    regions = _regions(upright(fragments))
    return [block for region in regions for block in _blocks(group_rows(region))]


def _regions(placed: list[Placed]) -> list[list[Placed]]:
    """Divide at gutters into regions that are read one after the other, row by row inside."""
    gutter = find_gutter(placed)
    if gutter is None:
        return [placed] if placed else []
    return [region for part in split_at(placed, gutter) for region in _regions(part)]


def _blocks(rows: list[list[Placed]]) -> list[list[Row]]:
    tops = [min(each.top for each in row) for row in rows]
    heights = [median(each.height for each in row) for row in rows]
    pitches = [after - before for before, after in pairwise(tops)]
    usual = median(pitches) if pitches else 0.0
    blocks: list[list[Row]] = []
    for index, row in enumerate(rows):
        if index == 0 or _parted(pitches[index - 1], usual, heights[index - 1], heights[index]):
            blocks.append([])
        blocks[-1].append(_cells(row))
    return blocks


def _parted(pitch: float, usual: float, above: float, below: float) -> bool:
    """True when two rows belong to different blocks."""
    # The usual pitch means little between a few rows far apart, so it counts up to two line heights.
    limit = _PARAGRAPH_PITCH * min(usual, 2.2 * max(above, below))
    return pitch > limit or max(above, below) > _HEADING_HEIGHT * min(above, below)


def _cells(row: list[Placed]) -> Row:
    cells = [Cell("", row[0].fragment)]
    for before, after in pairwise(row):
        cells.append(Cell("\t" if starts_cell(before, after) else " ", after.fragment))
    return cells
