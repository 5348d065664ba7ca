"""A PDF that remembers the text that is drawn on it."""

from collections.abc import Sequence
from io import BytesIO
from typing import Literal, NamedTuple

from reportlab.lib.colors import Color, black
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

Align = Literal["left", "center", "right"]


class Font(NamedTuple):
    """How text looks; size and leading in points."""

    name: str
    size: float
    leading: float
    color: Color = black


class Cell(NamedTuple):
    """A text of a table row: where it starts, is centred or ends, in points."""

    x: float
    text: str
    align: Align = "left"


class Sheet:
    """Pages to draw on, and their texts in the order of drawing. Points, from the bottom left."""

    def __init__(self, title: str, author: str, size: tuple[float, float] = A4) -> None:
        self._buffer = BytesIO()
        self._pages: list[list[str]] = [[]]
        self.width, self.height = size
        self.canvas = Canvas(self._buffer, pagesize=size, invariant=1)
        self.canvas.setTitle(title)
        self.canvas.setAuthor(author)

    def row(self, y: float, font: Font, *cells: Cell) -> None:
        """Draw texts on one baseline; together they are one line of the page's text."""
        self.canvas.setFont(font.name, font.size)
        self.canvas.setFillColor(font.color)
        for cell in cells:
            width = length(cell.text, font)
            shift = {"left": 0.0, "center": width / 2, "right": width}[cell.align]
            self.canvas.drawString(cell.x - shift, y, cell.text)
        self._pages[-1].append(" ".join(" ".join(cell.text for cell in cells).split()))

    def lines(self, x: float, y: float, font: Font, lines: Sequence[str], align: Align = "left") -> float:
        """Draw lines below each other; return the baseline of the line that would come next."""
        for line in lines:
            self.row(y, font, Cell(x, line, align))
            y -= font.leading
        return y

    def justified(self, x: float, y: float, width: float, font: Font, line: str, label: Cell | None) -> None:
        """Draw a line with its words spread over `width`, after a label in the margin if there is one."""
        spaces = line.count(" ")
        spare = width - length(line, font)
        self.canvas.setFont(font.name, font.size)
        self.canvas.setFillColor(font.color)
        if label:
            self.canvas.drawString(label.x, y, label.text)
        self.canvas.drawString(x, y, line, wordSpace=spare / spaces if spaces else 0)
        self._pages[-1].append(f"{label.text} {line}" if label else line)

    def gap(self) -> None:
        """End a block of text."""
        if self._pages[-1] and self._pages[-1][-1]:
            self._pages[-1].append("")

    def next_page(self) -> None:
        """Go on with an empty page."""
        self.canvas.showPage()
        self._pages.append([])

    @property
    def pages(self) -> list[str]:
        """The text of every page so far."""
        return ["\n".join(lines).strip() for lines in self._pages]

    def finish(self) -> bytes:
        """Return the PDF; nothing can be drawn after that."""
        self.canvas.save()
        return self._buffer.getvalue()


def length(text: str, font: Font) -> float:
    """Return how long a text is in one line, in points."""
    points: float = stringWidth(text, font.name, font.size)
    return points


def wrap(text: str, font: Font, width: float) -> list[str]:
    """Break a text into lines of at most `width` points."""
    lines: list[str] = simpleSplit(text, font.name, font.size, width)
    return lines
