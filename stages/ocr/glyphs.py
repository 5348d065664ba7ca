"""The characters of a PDF page, one by one, as PDFium gives them."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from stages.outputs import Box

_HYPHENS = frozenset((0x02, 0xFFFE))
"""How PDFium gives the hyphen of a word that goes on in the next line."""
_DEVICE_UNITS = 100
"""PDFium turns page coordinates into whole device units: this many to a point."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character of the text layer."""

    text: str
    box: Box
    """In points, from the top left corner of the page as it is shown; empty for spaces."""
    visible: bool = True
    mapped: bool = True
    """False when its font doesn't say which character it is."""


LINE_END = Glyph("\n", (0, 0, 0, 0))


def read_glyphs(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> Iterator[Glyph]:
    """Give the characters of a page in the order of the file, spaces and line ends included."""
    modes: dict[int | None, bool] = {}
    device = _Device(page)
    high = 0
    for index in range(textpage.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(textpage, index)
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000 and high:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
        high = 0
        if code in (0x0A, 0x0D):
            yield LINE_END
            continue
        box = device.box(_loose_box(textpage, index))
        if box is None:
            continue
        visible = _is_visible(textpage, index, modes)
        mapped = pdfium_c.FPDFText_HasUnicodeMapError(textpage, index) != 1
        if code in _HYPHENS:
            yield Glyph("-", box, visible, mapped)
            yield LINE_END
        else:
            yield Glyph(chr(code), box, visible, mapped)


def _is_visible(textpage: pdfium.PdfTextPage, index: int, modes: dict[int | None, bool]) -> bool:
    text_object = pdfium_c.FPDFText_GetTextObject(textpage, index)
    # Characters of one object follow each other, so most of them are looked up, not asked for.
    address = ctypes.cast(text_object, ctypes.c_void_p).value
    if address not in modes:
        mode = pdfium_c.FPDFTextObj_GetTextRenderMode(text_object) if address else None
        modes[address] = mode != pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE
    return modes[address]


def _loose_box(textpage: pdfium.PdfTextPage, index: int) -> Box:
    """Return left, top, right and bottom in the page's own coordinates, as high as the font's lines."""
    rectangle = pdfium_c.FS_RECTF()
    pdfium_c.FPDFText_GetLooseCharBox(textpage, index, rectangle)
    return rectangle.left, rectangle.top, rectangle.right, rectangle.bottom


class _Device:
    """Page coordinates to points from the top left corner of the page as it is shown."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self._page = page
        self._width, self._height = page.get_size()

    def box(self, box: Box) -> Box | None:
        """Return the box on the page, None when it lies outside."""
        x1, y1 = self._point(box[0], box[1])
        x2, y2 = self._point(box[2], box[3])
        left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if right < 0 or bottom < 0 or left > self._width or top > self._height:
            return None
        return left, top, right, bottom

    def _point(self, x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        width, height = round(self._width * _DEVICE_UNITS), round(self._height * _DEVICE_UNITS)
        pdfium_c.FPDF_PageToDevice(self._page, 0, 0, width, height, 0, x, y, across, down)
        return across.value / _DEVICE_UNITS, down.value / _DEVICE_UNITS
