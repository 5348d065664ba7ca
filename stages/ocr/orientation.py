"""Recognises pages, also those that were scanned sideways or upside down."""

from statistics import fmean

import numpy as np

from stages.ocr.engine import Engine, Pixels
from stages.ocr.fragment import Fragment, Recognised
from stages.outputs import Box, Page

_CONFIDENT = 0.8
"""Mean confidence: pages the right way up have over 0.9, the wrong way up about 0.6 at most."""
_FEW_CHARACTERS = 20
"""Less text than that tells nothing about the page."""


def recognise(engine: Engine, image: Pixels) -> Recognised:
    """Recognise a page whichever way up it is; boxes are in the pixels of the turned image.

    A page whose lines run downwards, or that can hardly be read, is recognised once more, turned.
    """
    straight = Recognised(engine.recognise(image), engine=engine.name)
    turns = _likely_turns(straight.fragments)
    if not turns:
        return straight
    upright = np.ascontiguousarray(np.rot90(image, turns))
    turned = Recognised(engine.recognise(upright), turns, engine.name)
    return max(straight, turned, key=_merit)


def as_shown(page: Page, turns: int) -> Page:
    """Return a page of upright boxes with those of the page as it is shown.

    Args:
        page: Its width and height are already those of the page as it is shown.
        turns: As in `Recognised`.
    """
    if not turns:
        return page

    def shown(box: Box) -> Box:
        corners = [_shown_point(x, y, turns, page.width, page.height) for x, y in (box[:2], box[2:])]
        (x1, y1), (x2, y2) = corners
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    return page.model_copy(
        update={
            "rotation": (4 - turns) * 90,
            "lines": [line.model_copy(update={"box": shown(line.box)}) for line in page.lines],
            "words": [word.model_copy(update={"box": shown(word.box)}) for word in page.words],
            "blocks": [block.model_copy(update={"box": shown(block.box)}) for block in page.blocks],
        }
    )


def _shown_point(x: float, y: float, turns: int, width: float, height: float) -> tuple[float, float]:
    """Turn a point back, clockwise; width and height are those of the page as it is shown."""
    match turns:
        case 1:
            return round(width - y, 1), x
        case 2:
            return round(width - x, 1), round(height - y, 1)
        case _:
            return y, round(height - x, 1)


def _likely_turns(fragments: list[Fragment]) -> int:
    """Return the quarter turns that are likely to bring the page the right way up, mostly 0."""
    total = sum(len(each.text) for each in fragments)
    upended = sum(len(each.text) for each in fragments if _is_upended(each.box))
    if total < _FEW_CHARACTERS:
        return 0
    confident = _confidence(fragments) >= _CONFIDENT
    if upended > total / 2:
        # The engine reads upended lines downwards, so with confidence only if they run downwards.
        return 1 if confident else 3
    return 0 if confident else 2


def _is_upended(box: Box) -> bool:
    return box[3] - box[1] > 1.5 * (box[2] - box[0])


def _merit(recognised: Recognised) -> float:
    """Return how much text runs across and is read with confidence."""
    across = sum(len(each.text) for each in recognised.fragments if not _is_upended(each.box))
    return across * _confidence(recognised.fragments)


def _confidence(fragments: list[Fragment]) -> float:
    scores = [word.confidence or 0.0 for each in fragments for word in each.words]
    return fmean(scores) if scores else 0.0
