"""What Tesseract's iterators say about lines and their words."""

import math
from collections.abc import Iterator
from typing import Any

from tesserocr import PT, RIL, iterate_level

from stages.ocr.fragment import FragmentWord
from stages.ocr.skew import weighted_median
from stages.ocr.text_line import Baseline, TextLine, whole_addresses

_TEXT = frozenset((PT.FLOWING_TEXT, PT.HEADING_TEXT, PT.PULLOUT_TEXT, PT.TABLE, PT.CAPTION_TEXT))
_LEAST_SLOPE, _MOST_SLOPE = math.radians(0.2), math.radians(20)
"""Less is no matter, and more no skewed scan."""
_MOST_OF_A_WORD = 2.0
"""In heights of its highest word: no line is higher, whatever the engine takes for its row."""


def slope(layout: Any) -> float:
    """Return the angle of a page's lines in radians, clockwise; 0 where there is nothing to mend.

    Args:
        layout: An iterator over what layout analysis has found; None is one over nothing.
    """
    found = []
    for place in _places(layout, RIL.TEXTLINE):
        baseline, box = _baseline(place), place.BoundingBox(RIL.TEXTLINE)
        if place.BlockType() in _TEXT and baseline is not None and box is not None:
            found.append((math.atan(baseline.slope), box[2] - box[0]))
    angle = weighted_median(found)
    return angle if _LEAST_SLOPE <= abs(angle) <= _MOST_SLOPE else 0.0


def read_lines(results: Any) -> list[TextLine]:
    """Return the lines that were recognised, with all their words, however sure the engine is.

    Args:
        results: An iterator over them; None is one over nothing.
    """
    lines: list[TextLine] = []
    for place in _places(results, RIL.WORD):
        if place.IsAtBeginningOf(RIL.TEXTLINE) or not lines:
            row = place.RowAttributes()
            lines.append(TextLine([], row["row_height"], max(-row["descenders"], 0.0), _baseline(place)))
        word = _word(place)
        if word is not None:
            lines[-1].words.append(word)
    return [_mended(line) for line in lines if line.words]


def _places(iterator: Any, level: int) -> Iterator[Any]:
    if iterator is not None:
        yield from (each for each in iterate_level(iterator, level) if not each.Empty(level))


def _baseline(place: Any) -> Baseline | None:
    line = place.Baseline(RIL.TEXTLINE)
    if line is None:
        return None
    (x1, y1), (x2, y2) = line
    return Baseline(x1, y1, (y2 - y1) / (x2 - x1)) if x2 - x1 > abs(y2 - y1) else None


def _word(place: Any) -> FragmentWord | None:
    text, box = place.GetUTF8Text(RIL.WORD).strip(), place.BoundingBox(RIL.WORD)
    if not text or box is None:
        return None
    left, top, right, bottom = map(float, box)
    score = min(max(place.Confidence(RIL.WORD) / 100, 0.0), 1.0)
    return FragmentWord(text, (left, top, right, bottom), score)


def _mended(line: TextLine) -> TextLine:
    """Return a line with whole addresses, and no higher than goes with its words."""
    highest = max(word.box[3] - word.box[1] for word in line.words)
    line.height = min(max(line.height, highest), _MOST_OF_A_WORD * highest)
    line.below = min(line.below, line.height / 3)
    line.words = whole_addresses(line.words, line.height)
    return line
