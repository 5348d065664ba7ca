"""Pictures of pages, encoded."""

import math
from collections.abc import Iterable
from io import BytesIO

from PIL import Image

from stages.ocr.engine import Pixels
from stages.outputs import Box

_MAX_SHOWN = 4_000
_MAX_SIDE = 10_000
_JPEG_QUALITY = 90
"""Of what a service is sent, which takes at most 10 MB and 10,000 pixels a side."""


def jpeg(pixels: Pixels) -> bytes:
    """Return a JPEG of at most 10,000 pixels a side."""
    image = _image(pixels)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    return _encoded(image, "JPEG", quality=_JPEG_QUALITY)


def png(pixels: Pixels) -> bytes:
    """Return a PNG of at most 4,000 pixels a side."""
    image = _image(pixels)
    image.thumbnail((_MAX_SHOWN, _MAX_SHOWN))
    return _encoded(image, "PNG")


def painted_over(pixels: Pixels, boxes: Iterable[Box], scale: float) -> Pixels:
    """Return the pixels, black inside the boxes: nothing of what was there is left.

    Args:
        pixels: Of the whole page.
        boxes: In page units.
        scale: Pixels for each page unit.
    """
    painted = pixels.copy()
    for box in boxes:
        left, top = (math.floor(edge * scale) for edge in box[:2])
        right, bottom = (math.ceil(edge * scale) for edge in box[2:])
        painted[max(top, 0) : bottom, max(left, 0) : right] = 0
    return painted


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, ::-1])


def _encoded(image: Image.Image, format_: str, **options: int) -> bytes:
    stream = BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()
