"""Makes a page worse than a scanner does: skew, blur, noise, uneven light, coarse JPEG."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageFilter

from examples.draw.scanner import light

_DPI = 200
_SKEW, _BLUR, _NOISE, _DEPTH, _QUALITY = 1.5, 0.9, 9.0, 0.35, 55
"""Degrees, pixels, grey levels, share of light lost in the darkest place, of JPEG."""


def degraded(path: Path, number: int) -> bytes:
    """Return a page of a PDF or of an image as a JPEG that is hard to read; the same every time."""
    page = _picture(path, number).convert("L").rotate(_SKEW, Image.Resampling.BICUBIC, fillcolor=255)
    random = np.random.default_rng(number)
    pixels = np.asarray(page.filter(ImageFilter.GaussianBlur(_BLUR)), np.float32)
    pixels = pixels * light(pixels.shape, random, depth=_DEPTH)
    pixels = pixels + random.normal(0, _NOISE, pixels.shape).astype(np.float32)
    stream = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _picture(path: Path, number: int) -> Image.Image:
    if path.suffix == ".pdf":
        with pdfium.PdfDocument(path) as document:
            page: Image.Image = document[number - 1].render(scale=_DPI / 72).to_pil()
        return page
    with Image.open(path) as image:
        image.seek(number - 1)
        return image.copy()
