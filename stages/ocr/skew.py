"""How far the lines of a page slope, and the boxes that they would have without."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from stages.ocr.fragment import Fragment
from stages.ocr.placed import Placed, group_rows
from stages.outputs import Box

_MOST = math.radians(20)
"""A page that slopes more is no skewed scan."""
_MIN_SLOPES = 8
"""Fewer pairs of fragments in rows say less than the fragments' own angles."""
_MIN_DISTANCE = 3.0
"""In line heights: between nearer ones, the noise in the heights of boxes is a steep slope."""
_MOST_CORRECTED = math.radians(0.6)
"""More is no inaccuracy of the angles, but rows that are none."""


def page_angle(fragments: Sequence[Fragment]) -> float:
    """Return the angle of the page's lines in radians, clockwise; 0 when it is too large for a skewed scan.

    Recognisers find the edges of a line to a few pixels and so take its angle for up to a sixth smaller
    than it is: a quarter of a line's height across a page. Rows are longer than their fragments, so where
    there are enough of them it is their slope that counts.
    """
    angle = weighted_median((each.angle, each.box[2] - each.box[0]) for each in fragments)
    if not angle or abs(angle) >= _MOST:
        return 0.0
    slopes = _slopes(_straightened(fragments, angle))
    correction = weighted_median(slopes) if len(slopes) >= _MIN_SLOPES else 0.0
    return angle + correction if abs(correction) <= _MOST_CORRECTED else angle


def upright(fragments: Sequence[Fragment]) -> list[Placed]:
    """Return the fragments with the boxes that they would have on a page that was scanned straight.

    A box around a tilted line is taller than the line; here it gets the line's own height back.
    """
    return _straightened(fragments, page_angle(fragments))


def _straightened(fragments: Iterable[Fragment], angle: float) -> list[Placed]:
    return [Placed(each, *(_turned_back(each.box, angle) if angle else each.box)) for each in fragments]


def _slopes(placed: list[Placed]) -> list[tuple[float, float]]:
    """Return the angle from each fragment to the next in its row, with the distance between them."""
    slopes = []
    for before, after in (pair for row in group_rows(placed) for pair in pairwise(row)):
        distance = (after.left + after.right - before.left - before.right) / 2
        if distance >= _MIN_DISTANCE * before.height:
            slopes.append((math.atan2(after.middle - before.middle, distance), distance))
    return slopes


def weighted_median(weighted: Iterable[tuple[float, float]]) -> float:
    """Return the median of values with their weights; 0 of none."""
    ordered = sorted(weighted)
    half = sum(weight for _, weight in ordered) / 2
    for value, weight in ordered:
        half -= weight
        if half <= 0:
            return value
    return 0.0


def _turned_back(box: Box, angle: float) -> Box:
    left, top, right, bottom = box
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = (left + right) / 2, (top + bottom) / 2
    centre_x, centre_y = x * cos + y * sin, y * cos - x * sin
    # The box of a line of length l and height h turned by an angle measures l·cos + h·sin by
    # l·sin + h·cos; solved for l and h.
    width, height = right - left, bottom - top
    double = cos * cos - sin * sin
    length = max((width * cos - height * abs(sin)) / double, width / 2)
    thickness = max((height * cos - width * abs(sin)) / double, min(width, height) / 4)
    return (
        centre_x - length / 2,
        centre_y - thickness / 2,
        centre_x + length / 2,
        centre_y + thickness / 2,
    )
