"""Amounts of money: a number with a currency before or after it."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from stages.ner.span import Span
from stages.ner.words import either

CODES = frozenset(
    re.findall(
        "[A-Z]{3}",
        "EUR USD GBP CHF SEK NOK DKK ISK PLN CZK HUF RON BGN TRY UAH RSD JPY CNY HKD SGD KRW INR THB AUD NZD "
        "CAD MXN BRL ZAR ILS AED SAR",
    )
)
# A plain dollar sign is taken as USD: the text seldom says which.
SIGNS = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "₪": "ILS", "₩": "KRW"}
ABBREVIATIONS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "HK$": "HKD",
    "S$": "SGD", "zł": "PLN", "Kč": "CZK", "Fr.": "CHF",
}  # fmt: skip
WORDS = {
    "euros": "EUR", "euro": "EUR", "us dollars": "USD", "dollars": "USD", "dollar": "USD",
    "pounds sterling": "GBP", "pounds": "GBP", "swiss francs": "CHF", "franken": "CHF", "yen": "JPY",
}  # fmt: skip
MULTIPLIERS = {
    "thousand": 3, "tausend": 3, "k": 3,
    "million": 6, "millions": 6, "millionen": 6, "mio": 6, "mn": 6, "m": 6,
    "billion": 9, "billions": 9, "bn": 9, "b": 9, "milliard": 9, "milliards": 9, "milliarde": 9,
    "milliarden": 9, "mrd": 9,
}  # fmt: skip

_SPACE = r"[ \u00a0\u202f]"


def _either(names: Iterable[str]) -> str:
    return "|".join(re.escape(each) for each in sorted(names, key=len, reverse=True))


_CODE = rf"(?<![A-Z])(?:{_either(CODES)})(?![A-Za-z])"
_SYMBOL = rf"(?<![A-Za-z])(?:{_either(ABBREVIATIONS)})|{_either(SIGNS)}"
_UNIT = rf"(?:{_CODE}|{_SYMBOL})"
_WORD = rf"(?:{either(WORDS)})(?!\w)"
# Possessive and bounded: digits without end are read once. A comma or a full stop that a digit
# follows is inside the number, never its end.
_NUMBER = (
    r"(?:\d{1,3}(?:[.,'\u2019\u00a0\u202f ]\d{3}(?!\d)){1,5}+(?:[.,]\d{1,2}(?!\d))?+"
    r"|\d{1,12}+(?:[.,]\d{1,4}(?!\d))?+)"
    r"(?![.,]?\d)(?:[.,][-\u2013\u2014]{1,2})?+"
)
_TIMES = rf"(?:{_SPACE}?(?:{either(MULTIPLIERS)})(?!\w)\.?)?+"
_SIGN = r"(?:(?<![\w])[-\u2212])?"
_BEFORE = rf"{_SIGN}(?P<unit>{_UNIT}){_SPACE}?(?P<sign>[-\u2212])?(?P<number>{_NUMBER})(?P<times>{_TIMES})"
_AFTER = (
    rf"{_SIGN}(?<![\d.,])(?P<number2>{_NUMBER})(?P<times2>{_TIMES}){_SPACE}?"
    rf"(?P<unit2>{_UNIT}|{_SPACE}?{_WORD})"
)
_PREFIXED = re.compile(rf"{_BEFORE}|{_AFTER}(?!{_SPACE}?\d)")
_SUFFIXED = re.compile(rf"{_AFTER}|{_BEFORE}")
_ONLY_BEFORE = re.compile(rf"(?<!\d)(?<!\d{_SPACE}){_UNIT}{_SPACE}?\d")
_ONLY_AFTER = re.compile(rf"\d{_SPACE}?{_UNIT}(?!{_SPACE}?\d)")


def find(text: str) -> Iterator[Span]:
    """Yield amounts, normalised as `1234.50 EUR`.

    In `10 € 12` the currency may belong to either number: it goes where the rest of the text has it.
    """
    prefixed = sum(1 for _ in _ONLY_BEFORE.finditer(text))
    suffixed = sum(1 for _ in _ONLY_AFTER.finditer(text))
    for match in (_PREFIXED if prefixed >= suffixed else _SUFFIXED).finditer(text):
        yield Span("MONEY", match.start(), match.end(), 0.95, _normalize(match))


def _normalize(match: re.Match[str]) -> str:
    unit = (match["unit"] or match["unit2"]).strip()
    currency = SIGNS.get(unit) or ABBREVIATIONS.get(unit) or WORDS.get(unit.lower()) or unit
    times = (match["times"] or match["times2"] or "").strip().rstrip(".").lower()
    value = number(match["number"] or match["number2"], scaled=bool(times))
    value = value.scaleb(MULTIPLIERS[times]) if times else value
    negative = match["sign"] or match[0][0] in "-\u2212"
    places = max(2, -int(value.as_tuple().exponent))
    return f"{-value if negative else value:.{places}f} {currency}"


def number(text: str, *, scaled: bool = False) -> Decimal:
    """Return the value of `1,234.50`, `1.234,50`, `1 234,50`, `1'234.50` or `50,-`.

    One separator before exactly three digits parts thousands, except after a zero (`0.084`) and before
    `million` and the like.
    """
    text = re.sub(r"[.,][-\u2013\u2014]+$", "", text)
    whole, separator, fraction = text, "", ""
    last = max(text.rfind("."), text.rfind(","))
    if last >= 0:
        digits = len(text) - last - 1
        alone = sum(text.count(each) for each in ".,") == 1
        if digits != 3 or (alone and (scaled or text[:last] == "0")):
            whole, separator, fraction = text[:last], ".", text[last + 1 :]
    return Decimal(re.sub(r"\D", "", whole) + separator + fraction)
