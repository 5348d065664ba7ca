"""Reads PDF pages through PDFium; boxes and sizes are in points."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from pipeline import PermanentError
from stages.ocr.engine import Pixels
from stages.ocr.page_source import SOME_IMAGE, PageSource, Painted, choose
from stages.ocr.settings import PageSettings
from stages.ocr.sheet import Sheet
from stages.ocr.source_file import SourceFile
from stages.ocr.text_layer import read_text_layer

MAX_PIXELS = 16_000_000
"""Of a rendered page: posters are rendered at fewer dots per inch."""
_MAX_SIDE = 20_000
"""Points; 7 metres. PDFium itself takes any number."""
_MAX_OBJECTS = 20_000
"""A page with more is a drawing, whatever comes after them."""
_MAX_DEPTH = 8
"""Of forms inside forms."""


def count_pages(file: SourceFile, settings: PageSettings) -> int:
    """Return the number of pages.

    Raises:
        PermanentError: the file is encrypted or broken; the message says which.
    """
    return len(_open(file, settings.password))


def engine_of(_file: SourceFile) -> str:
    """Return `pdfium`."""
    return "pdfium"


def read_page(file: SourceFile, number: int, settings: PageSettings) -> Sheet:
    """Read a page's text layer, and decide where its text is to be taken from.

    Raises:
        PermanentError: the page is broken.
    """
    with _parsing():
        page = _load(_open(file, settings.password), number)
        painted = _painted(page)
        layer = read_text_layer(page, with_invisible=painted.images > SOME_IMAGE)
        source: PageSource = "ocr" if settings.force_ocr else choose(layer, painted)
        return Sheet(number, page.get_size(), source, partial(_rendered, page), layer.fragments)


def _rendered(page: pdfium.PdfPage, dpi: int) -> Pixels:
    with _parsing():
        width, height = page.get_size()
        scale = min(dpi / 72, math.sqrt(MAX_PIXELS / (width * height)))
        pixels = page.render(scale=scale, rev_byteorder=False).to_numpy()
        return np.ascontiguousarray(pixels[:, :, :3])


@lru_cache(maxsize=1)
def _open(file: SourceFile, password: str | None) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(file.read() if file.attachments else file.path, password=password)
        if document.get_formtype() != pdfium_c.FORMTYPE_NONE:
            document.init_forms()
        pages = len(document)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise _locked(password) from error
        raise PermanentError(
            f"the PDF is broken or cut short ({error}): open it in a viewer and print it to a new PDF"
        ) from error
    if not pages:
        raise PermanentError("the PDF has no pages: submit one that has")
    return document


def _locked(password: str | None) -> PermanentError:
    if password is None:
        return PermanentError(
            "the PDF is encrypted: give its `password` with the params of the stage `ocr`, or remove it"
        )
    return PermanentError("the PDF is encrypted, and the given password does not open it: give the right one")


@contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except pdfium.PdfiumError as error:
        raise PermanentError(
            f"the page is broken ({error}): open the PDF in a viewer and print it to a new PDF"
        ) from error


def _load(document: pdfium.PdfDocument, number: int) -> pdfium.PdfPage:
    """Return a page with what was filled into its forms, which is else no part of its text."""
    page = document[number - 1]
    if page.formenv:
        page.flatten()
        page = document[number - 1]
    width, height = page.get_size()
    if min(width, height) < 1 or max(width, height) > _MAX_SIDE:
        raise PermanentError(f"the page measures {width:g} x {height:g} points: print it to a usual size")
    return page


def _painted(page: pdfium.PdfPage) -> Painted:
    images, paths = 0.0, 0
    left, bottom, right, top = page.get_bbox()
    for each in islice(page.get_objects(max_depth=1), _MAX_OBJECTS):
        inside = [each]
        if each.type == pdfium_c.FPDF_PAGEOBJ_FORM:
            inside = list(islice(page.get_objects(form=each, max_depth=_MAX_DEPTH), _MAX_OBJECTS))
        paths += sum(one.type == pdfium_c.FPDF_PAGEOBJ_PATH for one in inside)
        if any(one.type == pdfium_c.FPDF_PAGEOBJ_IMAGE for one in inside):
            # A form's content has coordinates of its own; the form around it has the page's.
            bounds = each.get_bounds()
            width = min(bounds[2], right) - max(bounds[0], left)
            height = min(bounds[3], top) - max(bounds[1], bottom)
            images += max(width, 0) * max(height, 0)
    return Painted(min(images / math.prod(page.get_size()), 1.0), paths)
