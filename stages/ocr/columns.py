"""Finds gutters between columns and between blocks that stand side by side, and divides at one."""

from bisect import bisect_right
from itertools import groupby
from statistics import median

from stages.ocr.band import Band
from stages.ocr.placed import Placed, group_rows

_MIN_ROWS = 3
"""Fewer rows side by side do not make a gutter."""
_MAX_FRAGMENTS = 1500
"""More are a drawing or a huge table, which is read in rows; looking for gutters takes their square."""
_MIN_GUTTER = 0.4
"""In line heights."""
_BAND_GAP = 0.6
"""In line heights: a wider empty stripe over both sides parts a header, say, from the columns below."""


def find_gutter(placed: list[Placed]) -> float | None:
    """Return the x of the gutter with most rows of text side by side, None when there is none.

    Of several with as many, the one that least crosses: others go through the ends of long lines.
    """
    if not _MIN_ROWS < len(placed) <= _MAX_FRAGMENTS:
        return None
    stripes = _stripes(placed)
    for shown in (placed, _in_company(placed)):
        found = _best_gutter(stripes, _candidates(shown))
        if found is not None:
            return found
    return None


def _in_company(placed: list[Placed]) -> list[Placed]:
    """Return what shares its row: a page number that stands alone may hide the gutter above it."""
    return [each for row in group_rows(placed) if len(row) > 1 for each in row]


def _best_gutter(stripes: list[list[Placed]], candidates: list[float]) -> float | None:
    best, most = None, (0, 0)
    for x in candidates:
        rows = [band.side_by_side for band in _bands(stripes, x)]
        crossing = sum(_crosses(each, x) for stripe in stripes for each in stripe)
        if max(rows) >= _MIN_ROWS and (sum(rows), -crossing) > most:
            best, most = x, (sum(rows), -crossing)
    return best


def split_at(placed: list[Placed], gutter: float) -> list[list[Placed]]:
    """Divide at a gutter into parts in reading order: what crosses it, left sides, right sides."""
    parts: list[list[Placed]] = []
    open_part: list[Placed] | None = None
    for band in _bands(_stripes(placed), gutter):
        if band.side_by_side:
            parts += [band.left, band.right]
            open_part = None
            continue
        if open_part is None:
            open_part = []
            parts.append(open_part)
        open_part += band.crossing + band.left + band.right
    return parts


def _bands(stripes: list[list[Placed]], gutter: float) -> list[Band]:
    bands: list[Band] = []
    for stripe in stripes:
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
    if not placed:
        return []
    height = median(each.height for each in placed)
    lefts = sorted(each.left for each in placed)
    found: dict[int, float] = {}
    for right in sorted(each.right for each in placed):
        next_ = bisect_right(lefts, right)
        if next_ < len(lefts) and lefts[next_] - right > _MIN_GUTTER * height:
            middle = (right + lefts[next_]) / 2
            # Gaps nearer to each other than half a line are one gap.
            found.setdefault(round(2 * middle / height), middle)
    return list(found.values())
