"""contract.pdf: twelve pages of a services agreement, as a scanner delivers them: images only."""

import time
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from itertools import count

from PIL import Image
from reportlab.lib.colors import HexColor

from examples.draw.flow import Flow, Frame
from examples.draw.prose import paragraphs
from examples.draw.scanner import render, scan
from examples.draw.sheet import Cell, Font, Sheet
from examples.draw.signature import sign
from examples.draw.truth import Example, Truth

BODY = Font("Times-Roman", 12, 17.4)
CELL = Font("Times-Roman", 11, 17)
HEADING = Font("Times-Bold", 12.5, 19)
TITLE = Font("Times-Bold", 22, 30)
SMALL = Font("Times-Roman", 9.5, 12, HexColor("#222222"))
LEFT, RIGHT, TOP, BOTTOM = 82, 518, 762, 88
HANG = 34
COLUMNS = (LEFT, LEFT + 112, LEFT + 268, LEFT + 342, RIGHT)
"""Where table columns begin (the first two) or end (the others)."""
DPI = 200

NAME = "Archive Services Agreement"
REFERENCE = "AAS/KMI/2026-014"
SUPPLIER, CLIENT = "Aldermoor Archive Services Limited", "Kestrel Marine Insurance plc"
SIGNATORIES = (
    (SUPPLIER, "Rosalind Keane", "Managing Director", "2 February 2026", "Manchester", 10),
    (CLIENT, "Edmund Vale", "Chief Operating Officer", "30 January 2026", "London", 14),
)


def _sheet() -> Sheet:
    sheet = Sheet(NAME, SUPPLIER)
    flow = Flow(sheet, _frames(sheet))
    _title(flow)
    for paragraph in paragraphs("contract"):
        _set(flow, paragraph)
    for signatory in SIGNATORIES:
        _signature(flow, *signatory)
    _foot(sheet)
    return sheet


def _frames(sheet: Sheet) -> Iterator[Frame]:
    for number in count(1):
        if number > 1:
            _foot(sheet)
            sheet.next_page()
            sheet.row(794, SMALL, Cell(LEFT, REFERENCE), Cell(RIGHT, NAME, "right"))
            sheet.canvas.setLineWidth(0.5)
            sheet.canvas.line(LEFT, 787, RIGHT, 787)
            sheet.gap()
        yield Frame(LEFT, TOP, BOTTOM, RIGHT - LEFT)


def _foot(sheet: Sheet) -> None:
    sheet.gap()
    sheet.row(52, SMALL, Cell(sheet.width / 2, f"Page {len(sheet.pages)}", "center"))


def _title(flow: Flow) -> None:
    flow.y = 700
    flow.heading(NAME, TITLE, keep=0, center=True)
    flow.heading(f"Reference {REFERENCE}", BODY, keep=0, center=True)
    flow.y -= 30
    flow.heading(SUPPLIER, HEADING, keep=0, center=True)
    flow.heading("and", BODY, keep=0, center=True)
    flow.heading(CLIENT, HEADING, keep=0, center=True)
    flow.y -= 40


def _set(flow: Flow, paragraph: str) -> None:
    """Set one paragraph of the text; its first word says of what kind it is."""
    first, _, rest = paragraph.partition(" ")
    if first == "=":
        flow.next_frame()
    elif first in ("#", "!"):
        flow.space(6)
        flow.heading(rest, HEADING, keep=3 * BODY.leading)
    elif first == "|":
        _table(flow, [line.removeprefix("|").split("|") for line in paragraph.splitlines()])
    else:
        numbered = first[0].isdigit() or first[0] == "("
        inner = first.startswith("(") and first[1].islower()
        label = first if numbered else ""
        text = rest if numbered else paragraph
        flow.paragraph(text, BODY, label=label, indent=HANG if inner else 0, hang=HANG if numbered else 0)
        flow.space(7)


def _table(flow: Flow, rows: list[list[str]]) -> None:
    flow.need((len(rows) + 1) * CELL.leading)
    canvas = flow.sheet.canvas
    canvas.setLineWidth(0.6)
    canvas.line(LEFT, flow.y, RIGHT, flow.y)
    for index, row in enumerate(rows):
        bold = index in (0, len(rows) - 1)
        font = CELL._replace(name="Times-Bold") if bold else CELL
        cells = [
            Cell(x, text.strip(), "left" if column < 2 else "right")
            for column, (x, text) in enumerate(zip(COLUMNS, row, strict=True))
        ]
        flow.sheet.row(flow.y - font.size - 2, font, *cells)
        flow.y -= font.leading + 3
        canvas.line(LEFT, flow.y + 1, RIGHT, flow.y + 1)
    flow.sheet.gap()
    flow.y -= 12


def _signature(flow: Flow, party: str, name: str, role: str, date: str, place: str, seed: int) -> None:
    flow.need(150)
    sheet, left, y = flow.sheet, flow.frame.x, flow.y - 16
    sheet.row(y, BODY, Cell(left, f"Signed for {party} by:"))
    sheet.gap()
    sign(sheet.canvas, left + 14, y - 48, 150, seed=seed)
    sheet.canvas.setLineWidth(0.6)
    sheet.canvas.line(left, y - 62, left + 230, y - 62)
    sheet.lines(left, y - 78, BODY, (f"{name}, {role}", f"{place}, {date}"))
    sheet.gap()
    flow.y = y - 122


def truth() -> Truth:
    """Return what the contract says."""
    return Truth(
        type="contract",
        pages=_sheet().pages,
        mentions=MENTIONS,
        fields={
            "title": NAME,
            "reference": REFERENCE,
            "parties": [SUPPLIER, CLIENT],
            "effective_date": "2026-02-02",
            "end_date": "2031-02-28",
            "governing_law": "England and Wales",
            "cap_on_charges": "243000.00",
            "currency": "GBP",
            "signatories": [name for _, name, *_ in SIGNATORIES],
        },
    )


@cache
def _pdf() -> bytes:
    return _sheet().finish()


def scanned(index: int) -> Image.Image:
    """Return the scan of the page of that index."""
    return scan(render(_pdf(), index, DPI), seed=100 + index)


def content() -> bytes:
    """Return the scan: a PDF with a grey JPEG for each page and no text; the same bytes every time."""
    pages = [scanned(index) for index in range(len(_sheet().pages))]
    buffer = BytesIO()
    made = time.struct_time((2026, 2, 3, 8, 41, 0, 1, 34, 0))
    pages[0].save(
        buffer,
        "PDF",
        save_all=True,
        append_images=pages[1:],
        resolution=DPI,
        quality=42,
        creationDate=made,
        modDate=made,
        producer="Flatbed scanner",
    )
    return buffer.getvalue()


MENTIONS = (
    *(("ORG", name) for name in (SUPPLIER, CLIENT, "Wharfside Couriers Limited")),
    *(("ORG", name) for name in ("Irwell Bank plc", "Bank of England", "Severn Mediation Centre")),
    ("ORG", "Greyfriars Security Limited"),
    *(("PERSON", name) for name in ("Helen Strand", "Matthew Okoro", "Rosalind Keane", "Edmund Vale")),
    *(("PERSON", name) for name in ("Yasmin Farrow", "Gareth Lindley")),
    *(("LOC", name) for name in ("Manchester", "London", "Birmingham", "England", "Wales")),
    *(("LOC", name) for name in ("United Kingdom", "Thames", "Tilbury", "Gravesend", "Kent", "Stockport")),
    *(("DATE", f"{day} 2026") for day in ("30 January", "2 February", "2 March", "1 September")),
    *(("DATE", date) for date in ("17 November 2025", "9 December 2025", "26 February 2027")),
    *(("DATE", date) for date in ("1 March 2027", "28 February 2028", "1 March 2028", "28 February 2031")),
    *(("MONEY", amount) for amount in ("£0.084", "£0.31", "£6.75", "£1,240", "£18,500", "£243,000")),
    *(("MONEY", amount) for amount in ("£5,000,000", "£10,000,000", "£750,000", "£350,000", "£9,200")),
    *(("MONEY", amount) for amount in ("£117,600", "£96,100", "£15,930", "£42.50", "£11,900", "£241,530")),
    *(("MONEY", amount) for amount in ("£38.00", "£57.00", "£165.00", "£5.10", "£0.091")),
    *(("REFERENCE", text) for text in (REFERENCE, "AAS-P-3306", "KMI-PO-20417", "09990417", "09990833")),
    ("IBAN", "GB29 NWBK 6016 1331 9268 19"),
    ("EMAIL", "dpo@kestrel-marine.example"),
    ("EMAIL", "notices@aldermoor.example"),
    ("EMAIL", "company.secretary@kestrel-marine.example"),
    ("EMAIL", "privacy@aldermoor.example"),
    ("PHONE", "0161 496 0145"),
    ("PHONE", "020 7946 0321"),
)

EXAMPLE = Example("contract.pdf", truth, content)
