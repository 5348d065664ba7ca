"""Takes the light off a page: paper is white all over, however unevenly it was lit."""

import numpy as np
from PIL import Image, ImageFilter

from stages.ocr.engine import Pixels

_SHRUNK = 12
"""Times: letters vanish in what is left of a page, its light stays."""
_AROUND, _SOFT = 5, 4
"""Shrunk pixels: the brightest in a square is the paper; a blur that hides the squares."""


def evenly_lit(image: Pixels) -> Image.Image:
    """Return a grey image in which every place is divided by the brightness of the paper around it.

    What thresholds a whole page at one level, as Tesseract does, loses its dark corners otherwise.
    """
    grey = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])).convert("L")
    shrunk = (max(grey.width // _SHRUNK, 1), max(grey.height // _SHRUNK, 1))
    paper = grey.resize(shrunk, Image.Resampling.BOX).filter(ImageFilter.MaxFilter(_AROUND))
    light = paper.filter(ImageFilter.GaussianBlur(_SOFT)).resize(grey.size, Image.Resampling.BICUBIC)
    even = np.asarray(grey, np.float32) * (255 / np.maximum(np.asarray(light, np.float32), 1))
    return Image.fromarray(np.clip(even, 0, 255).astype(np.uint8))
