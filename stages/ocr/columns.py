"""Finds gutters between columns and between blocks that stand side by side, and divides at one."""

from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import fmean, median

from stages.ocr.placed import Placed, group_rows, starts_cell

_MIN_ROWS = 3
"""Fewer rows side by side do not make a gutter."""
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
_MIN_GUTTER = 0.4
"""In line heights."""
_BAND_GAP = 0.6
"""In line heights: a wider empty stripe over both sides parts a header, say, from the columns below."""
_CROSSING_COST = 0.01
"""Decides between gutters of equally much text: the one that fewer lines cross divides first."""


@dataclass(frozen=True, slots=True)
class Band:
    """What stands left and right of a gutter at one height, or what crosses it there."""

    crossing: list[Placed]
    left: list[Placed]
    right: list[Placed]

    @property
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
    bands: list[Band] = []
    for stripe in _stripes(placed):
        for band in _stripe_bands(stripe, gutter):
            if bands and band.continues(bands[-1]):
                bands[-1] = _divided(bands[-1].left + bands[-1].right + band.left + band.right, gutter)
            else:
                bands.append(band)
    return bands


def _stripe_bands(stripe: list[Placed], gutter: float) -> list[Band]:
    bands = [
        Band(list(group), [], []) if crosses else _divided(list(group), gutter)
        for crosses, group in groupby(stripe, key=lambda each: _crosses(each, gutter))
    ]
    # A heading across the gutter of the columns below may stand beside something else, for which
    # a gutter of its own is to be found.
    if len(bands) > 1 and max(band.side_by_side for band in bands) < _MIN_ROWS:
        return [Band(stripe, [], [])]
    return bands


def _divided(placed: list[Placed], gutter: float) -> Band:
    left = [each for each in placed if each.left + each.right < 2 * gutter]
    return Band([], left, [each for each in placed if each.left + each.right >= 2 * gutter])


def _stripes(placed: list[Placed]) -> list[list[Placed]]:
    """Part what empty stripes over the whole width part; each part is sorted downwards."""
    rows = group_rows(placed)
    height = median(each.height for each in placed)
    gaps, bottom = [], max(each.bottom for each in rows[0])
    for row in rows[1:]:
        gaps.append(min(each.top for each in row) - bottom)
        bottom = max(bottom, *(each.bottom for each in row))
    # Lines set far apart have wide gaps everywhere.
    limit = max(_BAND_GAP * height, 1.5 * median(gaps)) if gaps else 0.0
    stripes = [list(rows[0])]
    for gap, row in zip(gaps, rows[1:], strict=True):
        if gap > limit:
            stripes.append([])
        stripes[-1] += row
    return [sorted(stripe, key=lambda each: each.middle) for stripe in stripes]


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
