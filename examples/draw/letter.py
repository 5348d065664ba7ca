"""letter.tiff: a two-column circular letter of a conservation trust, scanned in black and white."""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from examples.draw.flow import Flow, Frame
from examples.draw.prose import paragraphs
from examples.draw.scanner import bilevel, render
from examples.draw.sheet import Cell, Font, Sheet
from examples.draw.signature import sign
from examples.draw.truth import Example, Truth

BODY = Font("Times-Roman", 12, 15.6)
HEADING = Font("Helvetica-Bold", 11, 16)
NAME = Font("Times-Bold", 23, 26)
SMALL = Font("Helvetica", 8.5, 11.5)
LEFT, RIGHT, GUTTER = 58, 537, 26
WIDTH = (RIGHT - LEFT - GUTTER) / 2
DPI = 300

SENDER = "The Saltmarsh Trust"
SUBJECT = "The sea wall, the spoonbills and the year ahead"


def _sheet() -> Sheet:
    sheet = Sheet(SUBJECT, SENDER)
    flow = Flow(sheet, _frames(sheet))
    for paragraph in paragraphs("letter"):
        words = " ".join(paragraph.split())
        if words.startswith("# "):
            flow.space(4)
            flow.heading(words[2:], HEADING, keep=3 * BODY.leading)
        else:
            flow.paragraph(words, BODY)
            flow.space(6)
    _close(flow)
    return sheet


def _frames(sheet: Sheet) -> Iterator[Frame]:
    for top, bottom, furniture in ((612.0, 78.0, _letterhead), (768.0, 78.0, _running_head)):
        if furniture is _running_head:
            sheet.next_page()
        furniture(sheet)
        yield Frame(LEFT, top, bottom, WIDTH)
        yield Frame(LEFT + WIDTH + GUTTER, top, bottom, WIDTH)
        _foot(sheet)


def _letterhead(sheet: Sheet) -> None:
    canvas = sheet.canvas
    for reed, (lean, tall) in enumerate(((-9, 34), (-3, 44), (4, 40), (11, 30))):
        canvas.setLineWidth(2.2)
        canvas.bezier(
            LEFT + 16 + 2 * reed, 740, LEFT + 16, 755, LEFT + 18 + lean, 765, LEFT + 20 + lean, 740 + tall
        )
    canvas.setLineWidth(1.5)
    canvas.bezier(LEFT, 740, LEFT + 14, 746, LEFT + 26, 734, LEFT + 42, 740)
    sheet.row(757, NAME, Cell(LEFT + 56, SENDER))
    sheet.row(742, SMALL, Cell(LEFT + 56, "Registered charity no. 9904127"))
    sheet.gap()
    address = (
        "Warden's House, 3 Sluice Road",
        "Norwich NR1 9ZD",
        "Telephone 020 7946 0582",
        "office@saltmarsh.example",
    )
    sheet.lines(RIGHT, 776, SMALL, address, "right")
    sheet.gap()
    canvas.setLineWidth(0.8)
    canvas.line(LEFT, 726, RIGHT, 726)
    sheet.row(702, BODY, Cell(LEFT, "Circular No. 2026/1"), Cell(RIGHT, "9 March 2026", "right"))
    sheet.gap()
    sheet.row(668, Font("Times-Bold", 15, 18), Cell(LEFT, SUBJECT))
    sheet.gap()
    sheet.row(638, BODY, Cell(LEFT, "To the members and friends of the Trust"))
    sheet.gap()


def _running_head(sheet: Sheet) -> None:
    sheet.row(796, SMALL, Cell(LEFT, SENDER), Cell(RIGHT, "9 March 2026", "right"))
    sheet.gap()
    sheet.canvas.setLineWidth(0.8)
    sheet.canvas.line(LEFT, 787, RIGHT, 787)


def _foot(sheet: Sheet) -> None:
    sheet.gap()
    sheet.row(48, SMALL, Cell(sheet.width / 2, f"Page {len(sheet.pages)}", "center"))


def _close(flow: Flow) -> None:
    flow.need(110)
    sheet = flow.sheet
    sheet.row(flow.y - 16, BODY, Cell(flow.frame.x, "Yours sincerely,"))
    sheet.gap()
    sign(sheet.canvas, flow.frame.x, flow.y - 56, 118, seed=0)
    sheet.lines(flow.frame.x, flow.y - 88, BODY, ("Dr Ingrid Hollis", "Director, The Saltmarsh Trust"))
    _foot(sheet)


def truth() -> Truth:
    """Return what the letter says."""
    return Truth(
        type="letter",
        pages=_sheet().pages,
        mentions=MENTIONS,
        fields={
            "sender": "Dr Ingrid Hollis",
            "organization": SENDER,
            "date": "2026-03-09",
            "subject": SUBJECT,
            "reference": "2026/1",
        },
    )


def scanned(index: int) -> Image.Image:
    """Return the scan of the page of that index."""
    return bilevel(render(_sheet().finish(), index, DPI), seed=40 + index)


def content() -> bytes:
    """Return the scan as a multi-page Group 4 TIFF."""
    pages = [scanned(index) for index in range(len(_sheet().pages))]
    buffer = BytesIO()
    pages[0].save(
        buffer, "TIFF", save_all=True, append_images=pages[1:], compression="group4", dpi=(DPI, DPI)
    )
    return buffer.getvalue()


MENTIONS = (
    ("ORG", SENDER),
    ("ORG", "Eastern Rivers Authority"),
    ("ORG", "Marlow & Teague Ltd"),
    ("ORG", "Coastal Heritage Fund"),
    ("ORG", "Grebe Bank plc"),
    ("PERSON", "Ingrid Hollis"),
    ("PERSON", "Peter Ashdown"),
    ("PERSON", "Nadia Rahman"),
    ("PERSON", "Walter Tweed"),
    ("PERSON", "Elsie Marchbank"),
    ("LOC", "Norwich"),
    ("LOC", "Netherlands"),
    ("LOC", "Lowestoft"),
    ("LOC", "Heron Island"),
    ("DATE", "9 March 2026"),
    ("DATE", "14 January 2026"),
    ("DATE", "3 October 2025"),
    ("DATE", "22 May 2025"),
    ("DATE", "25 April 2026"),
    ("DATE", "18 June 2026"),
    ("DATE", "30 September 2026"),
    ("MONEY", "£186,400"),
    ("MONEY", "£120,000"),
    ("MONEY", "£41,750"),
    ("MONEY", "£24,650"),
    ("MONEY", "£36"),
    ("REFERENCE", "2026/1"),
    ("IBAN", "GB29 NWBK 6016 1331 9268 19"),
    ("EMAIL", "office@saltmarsh.example"),
    ("EMAIL", "volunteers@saltmarsh.example"),
    ("URL", "www.saltmarsh.example/wall"),
    ("PHONE", "020 7946 0582"),
)

EXAMPLE = Example("letter.tiff", truth, content)
