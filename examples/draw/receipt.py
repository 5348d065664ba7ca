"""receipt.jpg: a till receipt, photographed on a table."""

from decimal import Decimal
from io import BytesIO

from reportlab.lib.colors import HexColor

from examples.draw.camera import photograph
from examples.draw.scanner import render
from examples.draw.sheet import Cell, Font, Sheet
from examples.draw.truth import Example, Truth

PRINT = Font("Courier-Bold", 9.5, 12.4, HexColor("#26262c"))
LARGE = Font("Helvetica-Bold", 15, 20, PRINT.color)
COLUMNS = 36
"""Characters a line."""
WIDTH, MARGIN = 227, 9
"""Points: an 80 mm roll."""

MERCHANT = "Quayside Grocers"
HEAD = ("18 Ferry Lane, Leeds LS1 9ZK", "Tel 0113 496 0177", "VAT No GB123456782")
ITEMS = (
    ("Sourdough loaf 800g", "3.40"),
    ("Semi-skimmed milk 2L", "1.85"),
    ("Free range eggs x12", "3.25"),
    ("Bananas 0.914 kg @ 1.10", "1.01"),
    ("Cheddar mature 350g", "4.15"),
    ("Chopped tomatoes 4 pk", "2.20"),
    ("Basmati rice 1kg", "2.75"),
    ("Olive oil 500ml", "6.90"),
    ("Dishwasher tablets *", "7.50"),
    ("Birthday card *", "2.95"),
)
TOTAL = sum((Decimal(price) for _, price in ITEMS), Decimal())
TAXED = sum((Decimal(price) for name, price in ITEMS if name.endswith("*")), Decimal())
VAT = (TAXED / 6).quantize(Decimal("0.01"))
"""20 % on top of the net price is a sixth of the gross price."""


def _line(left: str, right: str) -> str:
    return left + right.rjust(COLUMNS - len(left))


def _blocks() -> tuple[tuple[str, ...], ...]:
    rule = "-" * COLUMNS
    return (
        (_line("14/03/2026 17:42", "Till 03"), _line("Receipt 0087-4412", "Cashier Amira"), rule),
        (*(_line(name, price) for name, price in ITEMS), rule),
        (
            _line("Items", str(len(ITEMS))),
            _line("TOTAL", f"£{TOTAL}"),
            _line("Visa contactless", f"£{TOTAL}"),
            _line("Change", "£0.00"),
            rule,
        ),
        (_line("* VAT 20% on goods", f"£{TAXED}"), _line("VAT included", f"£{VAT}"), rule),
        ("Card ************4821", "Auth code 064913", "Terminal 2240 0915"),
    )


def _sheet() -> Sheet:
    sheet = Sheet("Receipt", MERCHANT, (WIDTH, 468))
    middle = WIDTH / 2
    y = sheet.lines(middle, 436, LARGE, [MERCHANT], "center")
    y = sheet.lines(middle, y + 3, PRINT, HEAD, "center") - 6
    for block in _blocks():
        sheet.gap()
        for line in block:
            _print(sheet, y, line)
            y -= PRINT.leading
    sheet.gap()
    thanks = ("Thank you for shopping with us!", "www.quayside-grocers.example")
    sheet.lines(middle, y - 6, PRINT, thanks, "center")
    return sheet


def _print(sheet: Sheet, y: float, line: str) -> None:
    """Print a line of the till's character grid; a rule is drawn, not written."""
    if set(line) == {"-"}:
        sheet.canvas.setDash(3, 2)
        sheet.canvas.line(MARGIN, y + 3, WIDTH - MARGIN, y + 3)
    else:
        sheet.row(y, PRINT, Cell(MARGIN, line))


def truth() -> Truth:
    """Return what the receipt says."""
    return Truth(
        type="receipt",
        pages=_sheet().pages,
        mentions=(
            ("ORG", MERCHANT),
            ("LOC", "Leeds"),
            ("PHONE", "0113 496 0177"),
            ("VAT_ID", "GB123456782"),
            ("DATE", "14/03/2026"),
            ("REFERENCE", "0087-4412"),
            ("PERSON", "Amira"),
            ("MONEY", f"£{TOTAL}"),
            ("MONEY", "£0.00"),
            ("MONEY", f"£{TAXED}"),
            ("MONEY", f"£{VAT}"),
            ("URL", "www.quayside-grocers.example"),
        ),
        fields={
            "merchant": MERCHANT,
            "date": "2026-03-14",
            "total": str(TOTAL),
            "currency": "GBP",
            "vat": str(VAT),
            "vat_id": "GB123456782",
        },
    )


def content() -> bytes:
    """Return the photo as a JPEG."""
    paper = render(_sheet().finish(), 0, dpi=300)
    buffer = BytesIO()
    photograph(paper, seed=7).save(buffer, "JPEG", quality=82, dpi=(72, 72))
    return buffer.getvalue()


EXAMPLE = Example("receipt.jpg", truth, content)
