"""The one interface of the OCR engines, and which of them read a page."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.extra import required_packages
from stages.ocr.fragment import Fragment
from stages.ocr.language import RAPIDOCR, unread
from stages.ocr.settings import PageSettings

Pixels = NDArray[np.uint8]
"""Height x width x 3, blue first."""


class Engine(Protocol):
    """Reads the text in images."""

    @property
    def name(self) -> str:
        """Engine and version, such as `rapidocr 3.10.0`."""
        ...

    def recognise(self, image: Pixels) -> list[Fragment]:
        """Return the lines of text in an image, in no particular order; boxes are in its pixels.

        A word's confidence is the mean over its characters.
        """
        ...


def engine_for(settings: PageSettings) -> Engine:
    """Return the engine that reads a page.

    Raises:
        PermanentError: an engine is not installed, or does not read a language; the message says
            what to do.
    """
    match settings.engine:
        case "rapidocr":
            return _rapidocr(settings)
        case "tesseract":
            return _tesseract(settings)
        case "auto":
            # Tesseract's confidence doesn't tell what it has missed, so it can't be asked first.
            missing = unread(settings.languages, RAPIDOCR)
            return _tesseract(settings) if missing else _rapidocr(settings)
        case "textract":
            # It needs credentials, which child processes have not.
            raise AssertionError("textract is asked by the worker itself")


def _rapidocr(settings: PageSettings) -> Engine:
    with required_packages("OCR"):
        from stages.ocr.rapidocr_engine import RapidOcrEngine
    return RapidOcrEngine(settings.languages)


def _tesseract(settings: PageSettings) -> Engine:
    with required_packages("OCR", "tesseract"):
        from stages.ocr.tesseract_engine import TesseractEngine
    return TesseractEngine(settings.languages)
