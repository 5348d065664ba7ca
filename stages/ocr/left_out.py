"""Finds ink on a page that may be text and that nobody has read."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stages.outputs import Box

_CELL = 0.25
"""In line heights: the page is looked at in cells of that size."""
_REACH = 2
"""Cells: ink so far apart in a line is looked at together."""
_LEAST, _MOST = 0.45, 1.8
"""In line heights: what is lower is dust and rulings, what is higher a picture or upended."""
_MOST_PLACES = 80
"""A page with more of them is no page of text."""
_MARGIN = 0.15
"""In line heights, left and right of a word: what is so near are letters that its box has cut off."""


def blanked(image: Image.Image, words: Iterable[Box], height: float) -> Image.Image:
    """Return a copy of a grey picture without the words in the boxes; the height is that of its lines."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    margin = _MARGIN * height
    for left, top, right, bottom in words:
        draw.rectangle((left - margin, top - 2, right + margin, bottom + 2), fill=255)
    return copy


def inked_places(ink: NDArray[np.bool_], height: float) -> list[Box]:
    """Return boxes around ink as high as text, lines of it together; none where there are too many.

    Args:
        ink: Rows x columns of pixels, true where there is some.
        height: Of the page's lines, in pixels.
    """
    size = max(round(_CELL * height), 1)
    cells = _cells(ink, size)
    found = []
    for rows, columns in _groups(cells):
        top, left = min(rows) * size, min(columns) * size
        part = ink[top : (max(rows) + 1) * size, left : (max(columns) + 1) * size]
        box = _around(part, left, top)
        if _LEAST * height <= box[3] - box[1] <= _MOST * height:
            found.append(box)
    return found if len(found) <= _MOST_PLACES else []


def _cells(ink: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return for each cell whether there is ink in it."""
    rows, columns = (-(-length // size) for length in ink.shape)
    padded = np.zeros((rows * size, columns * size), np.bool_)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    cells: NDArray[np.bool_] = np.any(padded.reshape(rows, size, columns, size), axis=(1, 3))
    return cells


def _groups(cells: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Return rows and columns of the cells of each group of inked cells that are near to each other."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(cells), strict=True)}
    groups = []
    while left:
        todo = [left.pop()]
        members = list(todo)
        while todo:
            row, column = todo.pop()
            near = {
                (row + down, column + right)
                for down in (-1, 0, 1)
                for right in range(-_REACH - 1, _REACH + 2)
            } & left
            left -= near
            todo += near
            members += near
        groups.append(([row for row, _ in members], [column for _, column in members]))
    return groups


def _around(part: NDArray[np.bool_], left: int, top: int) -> Box:
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return (
        float(left + columns[0]),
        float(top + rows[0]),
        float(left + columns[-1] + 1),
        float(top + rows[-1] + 1),
    )
