"""Scanned documents, made of the example documents' pages: images without a text layer."""

from itertools import cycle, islice
from pathlib import Path

import pypdfium2 as pdfium
from PIL import Image

_EXAMPLES = Path(__file__).parent.parent / "examples"
_DPI = 150
"""Of the scanner."""


def scanned_document(path: Path, pages: int, share: float) -> Path:
    """Write one PDF of so many scanned pages, of each the upper `share`, and return its path."""
    first, *others = islice(cycle(_page_images(share)), pages)
    first.save(path, "PDF", resolution=_DPI, save_all=True, append_images=others)
    return path


def one_page_documents(folder: Path, count: int, share: float) -> list[Path]:
    """Write so many PDFs of one scanned page each, of it the upper `share`, and return their paths."""
    paths = [folder / f"page-{number}.pdf" for number in range(1, count + 1)]
    for path, image in zip(paths, cycle(_page_images(share)), strict=False):
        image.save(path, "PDF", resolution=_DPI)
    return paths


def _page_images(share: float) -> list[Image.Image]:
    documents = [pdfium.PdfDocument(path) for path in sorted(_EXAMPLES.glob("*.pdf"))]
    images = [page.render(scale=_DPI / 72).to_pil().convert("RGB") for each in documents for page in each]
    return [image.crop((0, 0, image.width, round(share * image.height))) for image in images]
