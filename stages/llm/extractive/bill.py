"""The key fields of invoices and receipts."""

import re
from collections.abc import Iterator

from stages.llm.extractive.amount import total
from stages.llm.extractive.facts import Facts, matched
from stages.outputs import DocumentField, Entity

_NUMBER = re.compile(
    r"\b(?:(?:tax )?invoice|bill|rechnungs?)[\s-]*(?:number|nummer|no\b\.?|nr\b\.?|num\b\.?|#|id\b)", re.I
)
_CODE = re.compile(r"[\s.:#]*((?=[\w/.-]*\d)[A-Z0-9][\w/.-]*\w)", re.I)
_ISSUED = re.compile(
    r"\b(?:(?:invoice|issue|billing|tax)\s+date|date of (?:issue|invoice)|issued(?: on)?|rechnungsdatum)\b"
    r"|^(?:date|datum)\b",
    re.I,
)
_DUE = re.compile(
    r"\b(?:due date|payment due|due (?:on|by)|pay(?:able|ment)?\b[^.\n]{0,30}? by|fällig\w*|zahlbar bis)\b"
    r"|^due\b",
    re.I,
)
_BUYER = re.compile(
    r"\b(?:bill(?:ed)? to|invoice(?:d)? to|sold to|customer name|buyer|rechnung an)\b|^to\b:?|^client\b", re.I
)
_SELLER = re.compile(r"^(?:seller|supplier|vendor|from|issued by)\b", re.I)
_OTHERS = re.compile(r"\b(?:your|customer|buyer|client|ihre)\b", re.I)
_NAME = re.compile(r".*[^\W\d_]{2}.*")


def invoice(facts: Facts) -> Iterator[DocumentField]:
    """Yield an invoice's fields as far as they are found."""
    yield from _invoice_number(facts)
    dates = list(facts.labelled(_ISSUED, "DATE"))
    due = list(facts.labelled(_DUE, "DATE"))
    if issued := next(iter(dates or [each for each in facts.of("DATE") if each not in due]), None):
        yield facts.field("issue_date", issued)
    if due:
        yield facts.field("due_date", due[0])
    yield from total(facts)
    yield from _parties(facts)
    for iban in facts.of("IBAN")[:1]:
        yield facts.field("iban", iban)
    yield from _vat_id(facts)


def receipt(facts: Facts) -> Iterator[DocumentField]:
    """Yield a receipt's fields as far as they are found; the merchant is the head's first name."""
    for line in facts.lines[:4]:
        organisations = facts.on(line, "ORG")
        if organisations:
            yield facts.field("merchant", organisations[0])
            break
        name = _NAME.fullmatch(line.text)
        if name and not facts.on(line, "DATE", "PHONE", "ADDRESS", "URL"):
            yield matched("merchant", line, name)
            break
    for date in facts.of("DATE")[:1]:
        yield facts.field("date", date)
    yield from total(facts)
    yield from _vat_id(facts)


def _vat_id(facts: Facts) -> Iterator[DocumentField]:
    """Yield the first number that is not marked as the other side's."""
    own = (each for each in facts.of("VAT_ID") if not _OTHERS.search(facts.line_of(each).text))
    for vat_id in list(own)[:1]:
        yield facts.field("vat_id", vat_id)


def _invoice_number(facts: Facts) -> Iterator[DocumentField]:
    for line in facts.lines:
        label = _NUMBER.search(line.text)
        code = _CODE.match(line.text, label.end()) if label else None
        if code:
            yield matched("invoice_number", line, code, 1)
            return
    for reference in facts.labelled(_NUMBER, "REFERENCE"):
        yield facts.field("invoice_number", reference)
        return


def _parties(facts: Facts) -> Iterator[DocumentField]:
    """Without labels, the first organisation sells, and the first other one after it buys."""
    organisations = facts.of("ORG")
    buyer = next(facts.labelled(_BUYER, "ORG", "PERSON"), None)
    seller = next(facts.labelled(_SELLER, "ORG", "PERSON"), None) or next(
        (each for each in organisations if not buyer or not _same(each, buyer)), None
    )
    if seller is None:
        return
    # A letterhead often leaves out the legal form that the small print has.
    seller = max((each for each in organisations if _same(each, seller)), key=_length, default=seller)
    yield facts.field("seller", seller)
    buyer = buyer or next((each for each in organisations if not _same(each, seller)), None)
    if buyer is not None:
        yield facts.field("buyer", buyer)


def _same(one: Entity, other: Entity) -> bool:
    shorter, longer = sorted((_plain(one), _plain(other)), key=len)
    return longer.startswith(shorter)


def _plain(entity: Entity) -> str:
    return " ".join(entity.text.lower().split())


def _length(entity: Entity) -> int:
    return len(_plain(entity))
