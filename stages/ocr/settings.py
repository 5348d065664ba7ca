"""What the reader of a page needs to know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How to read a page."""

    dpi: int = 200
    """Pixels per inch at which a PDF page is rendered for recognition."""
    force_ocr: bool = False
    """Recognise PDF pages even where their own text layer is good."""
