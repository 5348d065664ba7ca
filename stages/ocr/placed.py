"""A fragment with its place on the straightened page, and rows of them."""

from dataclasses import dataclass

from stages.ocr.fragment import Fragment

_CELL_GAP = 1.3
"""In line heights: a wider gap inside a row parts two cells of a table."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A fragment and its upright box."""

    fragment: Fragment
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        """Of the line; at least a little, so that it can divide."""
        return max(self.bottom - self.top, 0.1)

    @property
    def middle(self) -> float:
        """Vertically."""
        return (self.top + self.bottom) / 2


def group_rows(placed: list[Placed]) -> list[list[Placed]]:
    """Group fragments whose middles are at one height; rows from top to bottom, each from the left.

    A fragment joins the row whose nearest member in x it is level with, so that a slight slope that
    straightening left over does not tear a wide row apart.
    """
    rows: list[list[Placed]] = []
    for each in sorted(placed, key=lambda one: (one.middle, one.left)):
        row = next((row for row in reversed(rows[-4:]) if _level(row, each)), None)
        if row is None:
            rows.append([each])
        else:
            row.append(each)
    return [sorted(row, key=lambda one: one.left) for row in rows]


def _level(row: list[Placed], each: Placed) -> bool:
    nearest = min(row, key=lambda one: max(one.left - each.right, each.left - one.right))
    overlap = min(nearest.right, each.right) - max(nearest.left, each.left)
    if overlap > 0.3 * min(nearest.right - nearest.left, each.right - each.left):
        return False
    return abs(nearest.middle - each.middle) < 0.5 * min(nearest.height, each.height)


def starts_cell(before: Placed, after: Placed) -> bool:
    """True when the gap between two neighbours in a row is wider than one between words."""
    return after.left - before.right > _CELL_GAP * min(before.height, after.height)
