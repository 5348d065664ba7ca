"""Amounts of money as they are printed, and the total among them."""

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from stages.llm.extractive.facts import Facts, Line, matched
from stages.outputs import DocumentField

SYMBOLS = {"£": "GBP", "€": "EUR", "$": "USD"}
_CURRENCY = r"[£€$]|\b(?:EUR|GBP|USD|CHF|SEK|NOK|DKK|PLN|CZK|CAD|AUD)\b"
_AMOUNT = re.compile(
    rf"(?P<before>{_CURRENCY})?\s?"
    r"(?<![\d.,])(?P<number>\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{2})?|\d+(?:[.,]\d{2})?)(?![\d%]|[.,]\d|\s%)"
    rf"\s?(?P<after>{_CURRENCY})?"
)
_FINAL = re.compile(
    r"\b(?:(?:amount|balance|total|sum)\s+(?:due|payable)|grand total|to pay|zahlbetrag)\b", re.I
)
_TOTAL = re.compile(r"\b(?:total|gesamtbetrag|rechnungsbetrag|gesamtsumme|summe)\b", re.I)
_PARTIAL = re.compile(r"\b(?:sub-?\s?total|net|netto|zwischensumme|vat|tax|mwst|discount|saving)", re.I)
_INCLUDING = re.compile(r"\b(?:incl|including|inkl|gross|brutto)", re.I)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount and its currency's ISO 4217 code, where the print says it."""

    value: Decimal
    currency: str | None


def total(facts: Facts) -> list[DocumentField]:
    """Return the fields `total` (a plain number) and `currency` of a bill; none where there is no total.

    A line of what is due goes before a line that only says total, and a later one before an earlier.
    """
    found = [each for line in facts.lines if (each := _total_on(line))]
    if not found:
        return []
    best = max(rank for rank, _, _ in found)
    _, line, match = [each for each in found if each[0] == best][-1]
    amount = read_amount(match)
    fields = [matched("total", line, match, "number").model_copy(update={"value": f"{amount.value:.2f}"})]
    currency = amount.currency or _usual_currency(facts)
    if currency:
        fields.append(matched("currency", line, match).model_copy(update={"value": currency}))
    return fields


def read_amount(match: re.Match[str]) -> Amount:
    """Return what a match of an amount says: `1.234,50` and `1,234.50` are the same number."""
    digits = re.sub(r"[' ]", "", match["number"])
    whole, point, cents = digits.rpartition(digits[-3]) if digits[-3:-2] in (".", ",") else (digits, "", "")
    value = Decimal(re.sub(r"[.,]", "", whole) + ("." + cents if point else ""))
    printed = match["before"] or match["after"]
    return Amount(value, SYMBOLS.get(printed, printed) if printed else None)


def _total_on(line: Line) -> tuple[int, Line, re.Match[str]] | None:
    label = _FINAL.search(line.text) or _TOTAL.search(line.text)
    if label is None:
        return None
    if _PARTIAL.search(line.text) and not _INCLUDING.search(line.text):
        return None
    amounts = [each for each in _AMOUNT.finditer(line.text, label.end()) if _is_money(each)]
    if not amounts:
        return None
    return int(label.re is _FINAL), line, amounts[-1]


def _is_money(match: re.Match[str]) -> bool:
    """Tell an amount from a count: it has a currency or cents."""
    return bool(match["before"] or match["after"] or re.search(r"[.,]\d{2}$", match["number"]))


def _usual_currency(facts: Facts) -> str | None:
    seen = Counter(
        SYMBOLS.get(each, each) for line in facts.lines for each in re.findall(_CURRENCY, line.text)
    )
    return seen.most_common(1)[0][0] if seen else None
