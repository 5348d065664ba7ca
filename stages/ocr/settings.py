"""What the reader of a page needs to know."""

from dataclasses import dataclass, field
from typing import Literal

EngineName = Literal["rapidocr", "tesseract", "textract", "auto"]
"""`auto`: RapidOCR where it reads the languages, else Tesseract."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How to read a page."""

    dpi: int = 200
    """Pixels per inch at which a PDF page is rendered for recognition."""
    force_ocr: bool = False
    """Recognise PDF pages even where their own text layer is good."""
    engine: EngineName = "rapidocr"
    languages: tuple[str, ...] = ()
    """As in `OcrParams`; none: Latin script."""
    password: str | None = field(default=None, repr=False)
    """Of an encrypted PDF."""
