"""A page of prose in three columns below a heading, as a newsletter has it, with what it says."""

from io import BytesIO
from textwrap import wrap

from reportlab.pdfgen.canvas import Canvas

from examples.draw import contract

_SIZE = (595.0, 842.0)
_LINES, _CHARACTERS, _COLUMNS = 58, 30, 3
_HEADING = "News from the harbour and its office"


def newsletter() -> tuple[bytes, str]:
    """Return the page as a PDF, the same bytes every time, and its text in the order of reading."""
    prose = " ".join(contract.EXAMPLE.truth().pages[1].split() + contract.EXAMPLE.truth().pages[2].split())
    lines = wrap(prose, _CHARACTERS, break_on_hyphens=False)[: _LINES * _COLUMNS]
    stream = BytesIO()
    canvas = Canvas(stream, pagesize=_SIZE, invariant=1)
    canvas.setFont("Helvetica-Bold", 18)
    canvas.drawString(50, 780, _HEADING)
    for column in range(_COLUMNS):
        text = canvas.beginText(50 + 170 * column, 740)
        text.setFont("Times-Roman", 10)
        text.setLeading(12)
        text.textLines(lines[_LINES * column : _LINES * (column + 1)])
        canvas.drawText(text)
    canvas.showPage()
    canvas.save()
    return stream.getvalue(), "\n".join((_HEADING, *lines))
