"""Small documents that the tests of the OCR stage draw for themselves."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

PAGE = (400.0, 300.0)
SENTENCES = (
    "The harbour office opens at eight on weekdays.",
    "Visitors report to the warden before they board.",
    "Boats longer than nine metres need a pilot.",
    "Moorings are let by the month, from April on.",
    "Lost keys are replaced for a fee of ten euros.",
    "Dogs are kept on a lead along the whole quay.",
)
TEXT = " ".join(SENTENCES)


def draw_pdf(path: Path, *pages: Callable[[Canvas], None], password: str | None = None) -> Path:
    """Write a PDF of one page for each function that draws on it."""
    canvas = Canvas(str(path), pagesize=PAGE, invariant=1, encrypt=password)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def write_lines(canvas: Canvas, lines: tuple[str, ...], *, size: float = 12, mode: Literal[0, 3] = 0) -> None:
    """Write lines from the top left; mode 3 is invisible."""
    text = canvas.beginText(30, PAGE[1] - 40)
    text.setFont("Helvetica", size)
    text.setTextRenderMode(mode)
    for line in lines:
        text.textLine(line)
    canvas.drawText(text)


def picture_of(*lines: str, size: tuple[int, int] = (1200, 900), height: int = 32) -> Image.Image:
    """Draw lines of text as an image."""
    image = Image.new("RGB", size, "white")
    font = ImageFont.load_default(height)
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((50, 40 + number * height * 2), line, fill="black", font=font)
    return image


def place_picture(canvas: Canvas, image: Image.Image, share: float = 1.0) -> None:
    """Paint an image over a share of the page's area, from its lower left corner."""
    stream = BytesIO()
    image.save(stream, "PNG")
    stream.seek(0)
    side = share**0.5
    canvas.drawImage(ImageReader(stream), 0, 0, PAGE[0] * side, PAGE[1] * side)
