"""minutes.docx: the minutes of a meeting, typed."""

from datetime import datetime
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from docx import Document
from docx.document import Document as Docx
from docx.shared import Mm, Pt

from examples.draw.truth import Example, Truth

COMPANY = "Fenwick Precision Castings Ltd"
TITLE = "Minutes of the Quarterly Operations Meeting"
TABLE = (
    ("Project", "Owner", "Budget", "Spent", "Due"),
    ("Furnace relining", "Callum Reid", "£84,500", "£61,230", "30 June 2026"),
    ("X-ray inspection cell", "Sofia Marchetti", "£212,000", "£48,900", "18 September 2026"),
    ("Warehouse racking", "Owen Pritchard", "£27,750", "£27,310", "8 May 2026"),
)
BLOCKS: tuple[tuple[str, str], ...] = (
    ("Title", TITLE),
    ("Normal", f"{COMPANY}, Boardroom 2, Gateshead"),
    ("Normal", "Wednesday, 22 April 2026, 10:00 to 11:40. Reference OPS-2026-02."),
    ("Heading 1", "Attendance"),
    ("List Bullet", "Margaret Oyelaran, Operations Director (chair)"),
    ("List Bullet", "Callum Reid, Plant Engineering"),
    ("List Bullet", "Sofia Marchetti, Quality"),
    ("List Bullet", "Owen Pritchard, Logistics"),
    ("List Bullet", "Hannah Weiss, Finance (minutes)"),
    ("Normal", "Apologies were received from Dr. Tomasz Zielinski."),
    ("Heading 1", "Minutes of the last meeting"),
    (
        "Normal",
        "The minutes of 21 January 2026 were approved without changes. The open point on the forklift "
        "lease is closed: the lease with Tynebridge Plant Hire Ltd ended on 31 March 2026 and the deposit "
        "of £3,200 has been returned.",
    ),
    ("Heading 1", "Production"),
    (
        "Normal",
        "Output in the first quarter was 412 tonnes, 6 % above plan. Scrap fell from 4.1 % to 3.4 % after "
        "the new gating was introduced for the pump housings. Callum Reid reported two unplanned furnace "
        "stops in March, both caused by a worn tap-hole; relining moves forward to the summer shutdown.",
    ),
    ("Heading 1", "Projects"),
    ("Table", ""),
    (
        "Normal",
        "Sofia Marchetti explained that the inspection cell waits for the shielding certificate. The "
        "supplier, Radionova Systems AB in Uppsala, has confirmed delivery for the week of 6 July 2026. Any "
        "further delay costs £1,150 a week in outside inspection.",
    ),
    ("Heading 1", "Decisions"),
    ("List Number", "Spend up to £9,600 on a second ladle preheater; order to be placed by Owen Pritchard."),
    ("List Number", "Extend the night shift until 28 August 2026."),
    ("List Number", "Move the customer audit by Larkfield Pumps Inc. to 14 October 2026."),
    ("Heading 1", "Next meeting"),
    (
        "Normal",
        "Wednesday, 22 July 2026, 10:00, Boardroom 2. Please send agenda points to Hannah Weiss at "
        "h.weiss@fenwick-castings.example or call 0191 498 0133 by 15 July 2026.",
    ),
    ("Normal", "Signed: Margaret Oyelaran, 24 April 2026"),
)


def truth() -> Truth:
    """Return what the minutes say; a DOCX counts as one page."""
    rows = "\n".join(" ".join(row) for row in TABLE)
    text = "\n\n".join(rows if style == "Table" else words for style, words in BLOCKS)
    people = ("Margaret Oyelaran", "Callum Reid", "Sofia Marchetti", "Owen Pritchard", "Hannah Weiss")
    dates = (
        *("22 April 2026", "21 January 2026", "31 March 2026", "30 June 2026", "18 September 2026"),
        *("8 May 2026", "6 July 2026", "28 August 2026", "14 October 2026", "22 July 2026"),
        *("15 July 2026", "24 April 2026"),
    )
    budgets = [amount for row in TABLE[1:] for amount in row[2:4]]
    return Truth(
        type="report",
        pages=[text],
        mentions=(
            ("ORG", COMPANY),
            ("ORG", "Tynebridge Plant Hire Ltd"),
            ("ORG", "Radionova Systems AB"),
            ("ORG", "Larkfield Pumps Inc."),
            *(("PERSON", name) for name in (*people, "Tomasz Zielinski")),
            ("LOC", "Gateshead"),
            ("LOC", "Uppsala"),
            *(("DATE", date) for date in dates),
            *(("MONEY", amount) for amount in ("£3,200", "£1,150", "£9,600", *budgets)),
            ("REFERENCE", "OPS-2026-02"),
            ("EMAIL", "h.weiss@fenwick-castings.example"),
            ("PHONE", "0191 498 0133"),
        ),
        fields={
            "title": TITLE,
            "organization": COMPANY,
            "date": "2026-04-22",
            "chair": "Margaret Oyelaran",
            "reference": "OPS-2026-02",
            "next_meeting": "2026-07-22",
        },
    )


def content() -> bytes:
    """Return the DOCX; the same bytes every time."""
    document = Document()
    _format(document)
    _describe(document)
    for style, words in BLOCKS:
        if style == "Table":
            _table(document)
        else:
            document.add_paragraph(words, style=style)
    buffer = BytesIO()
    document.save(buffer)
    return _undated(buffer)


def _format(document: Docx) -> None:
    document.styles["Normal"].font.size = Pt(11)
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(23)


def _describe(document: Docx) -> None:
    written = datetime(2026, 4, 24, 9, 15)
    properties = document.core_properties
    properties.title, properties.author, properties.comments = TITLE, "Hannah Weiss", ""
    properties.created = properties.modified = written


def _table(document: Docx) -> None:
    table = document.add_table(rows=len(TABLE), cols=len(TABLE[0]), style="Light Grid Accent 1")
    for row, texts in zip(table.rows, TABLE, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    document.add_paragraph()


def _undated(docx: BytesIO) -> bytes:
    """Pack the archive again without the time at which it was made."""
    buffer = BytesIO()
    with ZipFile(docx) as source, ZipFile(buffer, "w", ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(ZipInfo(name), source.read(name), ZIP_DEFLATED)
    return buffer.getvalue()


EXAMPLE = Example("minutes.docx", truth, content)
