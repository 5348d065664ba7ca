"""Where a page's picture is painted over, so that it shows as little as the redacted text."""

from collections.abc import Iterable, Iterator
from statistics import median

from pipeline import PermanentError
from stages.outputs import Box, RedactedOutput

_ALONG, _ACROSS = 0.4, 0.1
"""Padding in line heights: recognisers place a word's ends to about half a character, its edges better."""


def black_boxes(redacted: RedactedOutput, number: int) -> list[Box]:
    """Return what is to be painted over on a page, in its units, some padding around each.

    The words of a mention that stand beside each other are one box, so that the gaps between them do not
    tell their lengths.

    Raises:
        PermanentError: the page was not read, or it has a mention of which nobody knows where it is.
    """
    page = next((each for each in redacted.pages if each.number == number), None)
    if page is None or page.method == "failed":
        raise PermanentError(
            f"page {number} was not read, so nobody knows what to black out on it: "
            "run the stage `ocr` with this page among its `pages`"
        )
    mentions = [each for each in redacted.mentions if each.page == number]
    unplaced = sum(not each.boxes for each in mentions)
    if unplaced:
        raise PermanentError(
            f"page {number} has {unplaced} masked mentions without a box, so they can't be blacked out "
            "in its picture: take the redacted text from the output of the stage `redact`"
        )
    # The axis that lines run along: 1 where the page as it is shown lies on its side.
    axis = 1 if page.rotation in (90, 270) else 0
    thickness = median(_extent(word.box, 1 - axis) for word in page.words) if page.words else 0.0
    joined = (box for each in mentions for box in _joined(each.boxes, 1 - axis))
    return [_padded(box, axis, thickness) for box in joined]


def _extent(box: Box, axis: int) -> float:
    return box[axis + 2] - box[axis]


def _joined(boxes: Iterable[Box], across: int) -> Iterator[Box]:
    """Join those that follow each other on one line; lines lie side by side along the axis `across`."""
    last: Box | None = None
    for box in boxes:
        if last is not None and _on_one_line(last, box, across):
            last = min(last[0], box[0]), min(last[1], box[1]), max(last[2], box[2]), max(last[3], box[3])
            continue
        if last is not None:
            yield last
        last = box
    if last is not None:
        yield last


def _on_one_line(one: Box, other: Box, across: int) -> bool:
    shared = min(one[across + 2], other[across + 2]) - max(one[across], other[across])
    return shared > 0.5 * min(_extent(one, across), _extent(other, across))


def _padded(box: Box, axis: int, thickness: float) -> Box:
    along = _ALONG * max(thickness, _extent(box, 1 - axis))
    padding = (along, _ACROSS * thickness) if axis == 0 else (_ACROSS * thickness, along)
    left, top, right, bottom = box
    return left - padding[0], top - padding[1], right + padding[0], bottom + padding[1]
