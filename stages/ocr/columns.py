"""Finds gutters between columns of prose, and divides a region at one."""

from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, median

from stages.ocr.placed import Placed, group_rows

_MIN_ROWS = 3
"""Fewer rows side by side do not make a gutter."""
_MIN_CHARACTERS = 13
"""Mean length of a row of prose without its spaces; cells of tables and labels of forms are shorter."""
_MIN_LETTERS = 0.6
"""Share of letters in prose; columns of numbers have fewer."""
_MIN_DENSITY = 0.6
"""Rows of the sparser side over rows of the denser one: labels beside paragraphs are sparse."""
_MIN_GUTTER = 0.4
"""In line heights."""
_CROSSING_COST = 0.01
"""Decides between gutters of equally much prose: the one that fewer lines cross divides first."""


@dataclass(frozen=True, slots=True)
class Band:
    """The part of a region between lines that cross the gutter, or such lines themselves."""

    crossing: list[Placed]
    left: list[Placed]
    right: list[Placed]

    @property
    def side_by_side(self) -> int:
        """Rows of prose on each side that stand beside prose on the other; 0 when it is no columns."""
        if not self.left or not self.right:
            return 0
        top = max(min(each.top for each in side) for side in (self.left, self.right))
        bottom = min(max(each.bottom for each in side) for side in (self.left, self.right))
        rows = [
            [row for row in group_rows(side) if top <= row[0].middle <= bottom]
            for side in (self.left, self.right)
        ]
        fewer, more = sorted(len(side) for side in rows)
        if not fewer or fewer < _MIN_DENSITY * more or not all(_is_prose(side) for side in rows):
            return 0
        return fewer


def find_gutter(placed: list[Placed]) -> float | None:
    """Return the x of the gutter with most prose on both sides and fewest lines across, if any."""
    best, best_score = None, 0.0
    for x in _candidates(placed) if len(placed) >= 2 * _MIN_ROWS else []:
        bands = _bands(placed, x)
        rows = [band.side_by_side for band in bands]
        if max(rows) >= _MIN_ROWS:
            score = sum(rows) - _CROSSING_COST * sum(len(band.crossing) for band in bands)
            if best is None or score > best_score:
                best, best_score = x, score
    return best


def split_at(placed: list[Placed], gutter: float) -> list[list[Placed]]:
    """Divide at a gutter into parts in reading order: what crosses it, left sides, right sides."""
    parts: list[list[Placed]] = []
    open_part: list[Placed] | None = None
    for band in _bands(placed, gutter):
        if band.side_by_side:
            parts += [band.left, band.right]
            open_part = None
            continue
        if open_part is None:
            open_part = []
            parts.append(open_part)
        open_part += band.crossing + band.left + band.right
    return parts


def _bands(placed: list[Placed], gutter: float) -> list[Band]:
    bands = []
    downwards = sorted(placed, key=lambda each: each.middle)
    for crosses, group in groupby(downwards, key=lambda each: _crosses(each, gutter)):
        members = list(group)
        if crosses:
            bands.append(Band(members, [], []))
        else:
            left = [each for each in members if each.left + each.right < 2 * gutter]
            right = [each for each in members if each.left + each.right >= 2 * gutter]
            bands.append(Band([], left, right))
    return bands


def _crosses(each: Placed, gutter: float) -> bool:
    # A box may reach a little into the gutter without its text doing so.
    margin = 0.3 * each.height
    return each.left + margin < gutter < each.right - margin


def _candidates(placed: list[Placed]) -> list[float]:
    """Return the middles of the gaps between a right edge and the next left edge, in x."""
    height = median(each.height for each in placed)
    lefts = sorted(each.left for each in placed)
    found: dict[int, float] = {}
    for right in sorted(each.right for each in placed):
        after = next((left for left in lefts if left > right), None)
        if after is not None and after - right > _MIN_GUTTER * height:
            middle = (right + after) / 2
            # Gaps nearer to each other than half a line are one gap.
            found.setdefault(round(2 * middle / height), middle)
    return list(found.values())


def _is_prose(rows: list[list[Placed]]) -> bool:
    texts = ["".join(each.fragment.text for each in row).replace(" ", "") for row in rows]
    characters = sum(map(len, texts))
    letters = sum(character.isalpha() for text in texts for character in text)
    return fmean(map(len, texts)) >= _MIN_CHARACTERS and letters >= _MIN_LETTERS * characters
