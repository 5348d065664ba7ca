"""Decides where a PDF page's text comes from: its own layer, recognition, or both."""

import re
from dataclasses import dataclass
from typing import Literal

from stages.ocr.text_layer import TextLayer

PageSource = Literal["text-layer", "ocr-layer", "ocr", "text-layer+ocr", "empty"]
"""As in `Page.method`."""


@dataclass(frozen=True, slots=True)
class Painted:
    """What is on a page apart from text."""

    images: float = 0.0
    """Share of the page that images cover, 0 to 1."""
    paths: int = 0
    """Lines, curves and fills."""


SOME_IMAGE = 0.02
"""Share of the page: smaller images are logos and icons."""
_MAX_BAD = 0.1
_MAX_UNMAPPED = 0.3
_MIN_CHARACTERS = 16
"""Fewer are a page number or a stamp, while the page's text may be in a picture or drawn as paths."""
_MANY_PATHS = 50
_MIN_ALPHANUMERIC = 0.5
_FULL_IMAGE = 0.7
_MIN_VISIBLE = 200
"""Fewer over a picture of the whole page are a caption or a stamp on a scan."""
_LEADERS = re.compile(r"[.·…_*=-]{3,}|(?:[.·_] ){3,}")


def choose(layer: TextLayer, painted: Painted) -> PageSource:
    """Return where the page's text is to be taken from; rules are tried in order."""
    if not layer.characters and painted.images <= SOME_IMAGE and painted.paths <= _MANY_PATHS:
        return "empty"
    if layer.bad > _MAX_BAD * layer.characters or layer.unmapped > _MAX_UNMAPPED * layer.characters:
        return "ocr"
    if layer.characters < _MIN_CHARACTERS:
        drawn = painted.images > SOME_IMAGE or painted.paths > _MANY_PATHS
        return "ocr" if drawn else "text-layer"
    if _alphanumeric_share(layer.text) < _MIN_ALPHANUMERIC:
        return "ocr"
    over_image = painted.images > _FULL_IMAGE
    if over_image and layer.visible < _MIN_VISIBLE and layer.invisible < _MIN_CHARACTERS:
        return "text-layer+ocr"
    return "ocr-layer" if layer.invisible > layer.visible else "text-layer"


def _alphanumeric_share(text: str) -> float:
    """Return the share of letters and digits, leaders of dots and ruled blanks not counted."""
    characters = [character for character in _LEADERS.sub("", text) if not character.isspace()]
    return sum(character.isalnum() for character in characters) / max(len(characters), 1)
