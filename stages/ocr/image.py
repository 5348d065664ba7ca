"""Reads PNG, JPEG, TIFF, WebP and BMP: every frame of a TIFF is a page, boxes are in its pixels."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from pipeline import PermanentError
from stages.ocr.engine import Pixels
from stages.ocr.settings import PageSettings
from stages.ocr.sheet import Sheet
from stages.ocr.source_file import SourceFile

MAX_PIXELS = 120_000_000
"""An A3 page at 600 dpi has 70 million; a decoded pixel takes up to 4 bytes."""
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on files that are not what they claim to be."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def count_pages(file: SourceFile, _settings: PageSettings) -> int:
    """Return the number of frames of a TIFF, 1 for every other format.

    Raises:
        PermanentError: the file cannot be opened as an image, or the first frame is too large.
    """
    with _decoding():
        image = _open(file)
        return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1


def engine_of(_file: SourceFile) -> str:
    """Return `pillow`."""
    return "pillow"


def read_page(file: SourceFile, number: int, _settings: PageSettings) -> Sheet:
    """Decode a frame, turned as its EXIF orientation says.

    Raises:
        PermanentError: the frame is broken or too large; the message says which.
    """
    with _decoding():
        image = _open(file)
        if image.format == "TIFF":
            image.seek(number - 1)
        _check_size(image)
        pixels = _pixels(image)
    height, width = pixels.shape[:2]
    return Sheet(number, (width, height), "ocr", lambda _dpi: pixels)


@lru_cache(maxsize=1)
def _open(file: SourceFile) -> Image.Image:
    return Image.open(BytesIO(file.read()), formats=_FORMATS)


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(str(error)) from error
    except _BROKEN as error:
        raise PermanentError(
            f"the image is broken or cut short ({error}): open it in a viewer and save it again"
        ) from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(f"{width} x {height} pixels")


def _too_large(found: str) -> PermanentError:
    return PermanentError(
        f"the image is too large ({found}): scale it down to at most {MAX_PIXELS // 1_000_000} megapixels"
    )


def _pixels(image: Image.Image) -> Pixels:
    """Decode to 8-bit colour on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _eight_bit(image)
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, "white")
        image.alpha_composite(layer)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _eight_bit(image: Image.Image) -> Image.Image:
    """Stretch grey levels of more than 8 bits, of which scanners often use a part only."""
    levels = np.asarray(image, dtype=np.float32)
    low, high = float(levels.min()), float(levels.max())
    scaled = (levels - low) * (255 / (high - low)) if high > low else np.full_like(levels, 255)
    result = Image.fromarray(scaled.astype(np.uint8))
    result.info, orientation = dict(image.info), image.getexif()
    if orientation:
        result.info["exif"] = orientation.tobytes()
    return result
