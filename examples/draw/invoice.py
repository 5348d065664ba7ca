"""invoice.pdf: a born-digital invoice from an instrument maker to a laboratory."""

from decimal import Decimal
from typing import NamedTuple

from reportlab.lib.colors import HexColor

from examples.draw.sheet import Cell, Font, Sheet
from examples.draw.truth import Example, Truth

ACCENT = HexColor("#12466b")
SOFT = HexColor("#5b6670")
TEXT = Font("Helvetica", 9, 12.5, HexColor("#1c2227"))
BOLD = Font("Helvetica-Bold", 9, 12.5, TEXT.color)
SMALL = Font("Helvetica", 7.5, 10.5, SOFT)
LEFT, RIGHT = 62, 538

SELLER = ("Brightwater Instruments GmbH", "Lindenufer 14", "20459 Hamburg", "Germany")
CONTACT = ("+49 40 66969 123", "billing@brightwater.example", "https://www.brightwater.example")
BUYER = (
    "Nordlicht Laboratorien GmbH",
    "Accounts Payable, attn. Priya Raman",
    "Fährstraße 7",
    "28195 Bremen",
    "Germany",
)
VAT_RATE = Decimal("0.19")


class Item(NamedTuple):
    """An invoice line; prices in EUR."""

    article: str
    name: str
    detail: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        """Net amount."""
        return self.quantity * self.price


ITEMS = (
    Item("BW-2210", "Conductivity meter CM-40", "with calibration certificate", 2, Decimal("684.00")),
    Item("BW-0318", "Flow cell, borosilicate, 12 ml", "pack of 2", 6, Decimal("118.50")),
    Item("BW-4471", "Peristaltic pump PX-3", "0.1 to 80 ml/min, 230 V", 1, Decimal("1249.00")),
    Item("BW-0902", "Silicone tubing, 4.8 mm", "roll of 25 m", 4, Decimal("36.75")),
    Item("BW-1105", "pH buffer set 4.01 / 7.00 / 10.01", "3 x 500 ml", 8, Decimal("21.90")),
    Item("SV-0040", "On-site commissioning", "Bremen, 12 March 2026, M. Petersen", 1, Decimal("540.00")),
    Item("SV-0012", "Insured carriage", "2 parcels, 14.6 kg", 1, Decimal("47.80")),
)
FACTS = (
    ("Invoice number", "BW-2026-00417"),
    ("Issue date", "16 March 2026"),
    ("Due date", "15 April 2026"),
    ("Your order", "PO-88213"),
    ("Customer number", "104772"),
    ("Your VAT ID", "DE987654328"),
)
BANK = (
    ("Bank", "Hansekontor Bank, Hamburg"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"),
    ("BIC", "COBADEFFXXX"),
)

NET = sum((item.amount for item in ITEMS), Decimal())
VAT = (NET * VAT_RATE).quantize(Decimal("0.01"))
TOTAL = f"EUR {NET + VAT:,.2f}"


def _sheet() -> Sheet:
    sheet = Sheet("Invoice BW-2026-00417", SELLER[0])
    _letterhead(sheet)
    _addresses(sheet)
    y = _items(sheet, 520)
    y = _totals(sheet, y - 20)
    _payment(sheet, y - 30)
    _footer(sheet)
    return sheet


def _letterhead(sheet: Sheet) -> None:
    canvas = sheet.canvas
    canvas.setFillColor(ACCENT)
    canvas.roundRect(LEFT, 760, 36, 36, 6, stroke=0, fill=1)
    canvas.setStrokeColor(HexColor("#ffffff"))
    canvas.setLineWidth(2)
    for rise in (0, 8, 16):
        y = 769 + rise
        canvas.bezier(LEFT + 6, y, LEFT + 14, y + 9, LEFT + 22, y - 9, LEFT + 30, y)
    sheet.lines(LEFT + 48, 780, Font("Helvetica-Bold", 16, 14, ACCENT), ["Brightwater Instruments"])
    sheet.lines(LEFT + 48, 766, SMALL, ["Measuring water since 1987"])
    sheet.gap()
    sheet.lines(RIGHT, 788, SMALL, CONTACT, "right")
    canvas.setStrokeColor(ACCENT)
    canvas.setLineWidth(0.8)
    canvas.line(LEFT, 748, RIGHT, 748)


def _addresses(sheet: Sheet) -> None:
    sheet.gap()
    sheet.lines(LEFT, 712, Font("Helvetica", 6.5, 10, SOFT), [", ".join(SELLER)])
    sheet.gap()
    sheet.lines(LEFT, 694, BOLD, BUYER[:1])
    sheet.lines(LEFT, 694 - BOLD.leading, TEXT, BUYER[1:])
    sheet.gap()
    y = 694.0
    for name, value in FACTS:
        sheet.row(y, TEXT, Cell(372, name), Cell(RIGHT, value, "right"))
        y -= 14
    sheet.gap()
    sheet.lines(LEFT, 582, Font("Helvetica-Bold", 18, 20, ACCENT), ["Invoice"])
    sheet.gap()
    note = "Delivered on 12 March 2026 under our delivery note DN-5561. Thank you for your order."
    sheet.lines(LEFT, 560, TEXT, [note])


def _items(sheet: Sheet, y: float) -> float:
    sheet.gap()
    canvas = sheet.canvas
    canvas.setFillColor(ACCENT)
    canvas.rect(LEFT, y - 6, RIGHT - LEFT, 20, stroke=0, fill=1)
    head = Font("Helvetica-Bold", 8.5, 12, HexColor("#ffffff"))
    sheet.row(y, head, *_columns("Article", "Description", "Qty", "Unit price EUR", "Amount EUR"))
    y -= 23
    for item in ITEMS:
        cells = _columns(
            item.article, item.name, str(item.quantity), f"{item.price:,.2f}", f"{item.amount:,.2f}"
        )
        sheet.row(y, TEXT, *cells)
        sheet.row(y - 11, SMALL, Cell(LEFT + 68, item.detail))
        canvas.setStrokeColor(HexColor("#d4dae0"))
        canvas.setLineWidth(0.5)
        canvas.line(LEFT, y - 18, RIGHT, y - 18)
        y -= 31
    return y + 13


def _columns(article: str, name: str, quantity: str, price: str, amount: str) -> tuple[Cell, ...]:
    return (
        Cell(LEFT + 8, article),
        Cell(LEFT + 68, name),
        Cell(368, quantity, "right"),
        Cell(456, price, "right"),
        Cell(RIGHT - 8, amount, "right"),
    )


def _totals(sheet: Sheet, y: float) -> float:
    sheet.gap()
    for name, amount in (("Net total", NET), ("VAT 19 %", VAT)):
        sheet.row(y, TEXT, Cell(372, name), Cell(RIGHT - 8, f"EUR {amount:,.2f}", "right"))
        y -= 16
    sheet.canvas.setStrokeColor(ACCENT)
    sheet.canvas.setLineWidth(1)
    sheet.canvas.line(366, y + 9, RIGHT, y + 9)
    y -= 6
    sheet.row(
        y, Font("Helvetica-Bold", 11, 14, ACCENT), Cell(372, "Total due"), Cell(RIGHT - 8, TOTAL, "right")
    )
    return y


def _payment(sheet: Sheet, y: float) -> None:
    sheet.gap()
    sheet.row(y, BOLD, Cell(LEFT, "Payment"))
    terms = (
        "Please pay the total by 15 April 2026, quoting the invoice number.",
        "Within ten days you may deduct 2 % from the net total.",
        "The goods remain our property until they are paid in full.",
    )
    y = sheet.lines(LEFT, y - 14, TEXT, terms) - 4
    for name, value in BANK:
        sheet.row(y, TEXT, Cell(LEFT, name), Cell(LEFT + 40, value))
        y -= TEXT.leading


def _footer(sheet: Sheet) -> None:
    sheet.gap()
    sheet.canvas.setStrokeColor(HexColor("#d4dae0"))
    sheet.canvas.line(LEFT, 70, RIGHT, 70)
    lines = (
        "Brightwater Instruments GmbH · Managing directors: Dr. Jonas Albers, Käthe Voß",
        "Registered office: Hamburg · Commercial register HRB 990417 · VAT ID DE123456788",
    )
    sheet.lines(sheet.width / 2, 57, SMALL, lines, "center")
    sheet.gap()
    sheet.row(32, SMALL, Cell(sheet.width / 2, "Page 1 of 1", "center"))


def truth() -> Truth:
    """Return what the invoice says."""
    facts = dict(FACTS)
    iban = dict(BANK)["IBAN"]
    return Truth(
        type="invoice",
        pages=_sheet().pages,
        mentions=(
            ("ORG", SELLER[0]),
            ("ORG", "Brightwater Instruments"),
            ("ORG", BUYER[0]),
            ("ORG", "Hansekontor Bank"),
            ("PERSON", "Priya Raman"),
            ("PERSON", "M. Petersen"),
            ("PERSON", "Jonas Albers"),
            ("PERSON", "Käthe Voß"),
            ("LOC", "Hamburg"),
            ("LOC", "Germany"),
            ("LOC", "Bremen"),
            ("PHONE", CONTACT[0]),
            ("EMAIL", CONTACT[1]),
            ("URL", CONTACT[2]),
            ("DATE", "12 March 2026"),
            ("DATE", facts["Issue date"]),
            ("DATE", facts["Due date"]),
            ("REFERENCE", facts["Invoice number"]),
            ("REFERENCE", facts["Your order"]),
            ("REFERENCE", facts["Customer number"]),
            ("REFERENCE", "DN-5561"),
            ("REFERENCE", "HRB 990417"),
            ("VAT_ID", facts["Your VAT ID"]),
            ("VAT_ID", "DE123456788"),
            ("IBAN", iban),
            ("MONEY", f"EUR {NET:,.2f}"),
            ("MONEY", f"EUR {VAT:,.2f}"),
            ("MONEY", TOTAL),
        ),
        fields={
            "invoice_number": facts["Invoice number"],
            "issue_date": "2026-03-16",
            "due_date": "2026-04-15",
            "total": f"{NET + VAT:.2f}",
            "currency": "EUR",
            "seller": SELLER[0],
            "buyer": BUYER[0],
            "iban": iban,
            "vat_id": "DE123456788",
        },
    )


def content() -> bytes:
    """Return the PDF; the same bytes every time."""
    return _sheet().finish()


EXAMPLE = Example("invoice.pdf", truth, content)
