"""Phone and fax numbers, as the `phonenumbers` library confirms them."""

import re
from collections.abc import Iterator, Sequence

import phonenumbers
from phonenumbers import Leniency, PhoneNumber, PhoneNumberFormat, PhoneNumberMatcher

from stages.ner.span import Span

# Digits in groups, on one line, at most one space or mark between two of them.
_START = r"(?<![\w+])(?<![\w][./-])(?:\+[ ]?|\()?\(?\d"
_MARK = r"[ \u00a0]?[()./\u2013-]{1,2}[ \u00a0]?|[ \u00a0]"
_END = r"(?![\w]|[./-]\w|,\d)"
_CANDIDATE = re.compile(rf"{_START}(?:(?:{_MARK})?\d){{6,16}}{_END}")
_WRAPPED = re.compile(rf"{_START}(?:(?:{_MARK})?\d){{2,12}}+[ ]?\n(?:\d(?:(?:{_MARK})?\d){{2,12}}){_END}")
_LABEL = re.compile(
    r"(?:^|[^\w])(?:tel|tél|phone|telefon|telephone|téléphone|telefax|fax|télécopie|mobile|mobil|handy|portable|"
    r"cell|call|reach|reached|dial|ring|erreichbar|erreichen|anrufen|joignable|joindre|appel(?:er|ez)|ph(?=[.:])|"
    r"durchwahl|hotline|tel[ée]fono|tfno|tlfn?o?|m[óo]vil|llam(?:e|ar|en|ando)|cellulare|chiam(?:i|are|ate)|"
    r"telefoon|mobiel|bel|belt|bellen|bereiken|bereikbaar|[TMF](?=[.:]))[^\d\n]{0,20}$|[☎✆📞]\D{0,3}$",
    re.IGNORECASE,
)
# Parted otherwise than usual, but with the zero that only a phone number has before two or more groups.
_WITH_TRUNK = re.compile(r"\(?0\d{1,5}\)?(?:[ /-]\d{2,8}){1,5}")
_NOT_A_NUMBER = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d+\.\d+\.\d+\.\d+")


def find(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Yield phone numbers, normalised to E.164.

    International ones are taken wherever they are valid; national ones where one of `regions` (ISO
    3166 codes, the likeliest first) has them, and a label, the usual grouping or, in
    the likeliest region, a zero at its beginning says that it is one. A labelled number that no region
    explains is kept without a normalised form.
    """
    for match in (*_CANDIDATE.finditer(text), *_WRAPPED.finditer(text)):
        labelled = _LABEL.search(text, max(0, match.start() - 32), match.start()) is not None
        if _NOT_A_NUMBER.fullmatch(match[0]):
            continue
        span = _international(match, labelled=labelled) or _national(match, regions, labelled=labelled)
        # The next line's digits belong to it only where they make it a number that exists.
        if span is not None and (span.normalized or "\n" not in match[0]):
            yield span


def _international(match: re.Match[str], *, labelled: bool) -> Span | None:
    digits = match[0].lstrip("(")
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    if not digits.startswith("+"):
        return None
    number = _parse(digits, None)
    if number is None or not phonenumbers.is_possible_number(number):
        return None
    valid = phonenumbers.is_valid_number(number)
    return _span(match, number, 0.97 if valid else 0.8) if valid or labelled else None


def _national(match: re.Match[str], regions: Sequence[str], *, labelled: bool) -> Span | None:
    if match[0].startswith(("+", "(+", "00")):
        return None
    for region in regions:
        number = _parse(match[0], region)
        if number is None or not phonenumbers.is_valid_number(number):
            continue
        if labelled or _grouped(match[0], region):
            return _span(match, number, 0.93 if labelled else 0.8)
        if region == regions[0] and _WITH_TRUNK.fullmatch(match[0]):
            return _span(match, number, 0.7)
    return Span("PHONE", match.start(), match.end(), 0.6) if labelled else None


def _grouped(text: str, region: str) -> bool:
    """Return whether the digits are parted as people in that region write a phone number."""
    if text.isdigit():
        return False
    found = next(iter(PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING)), None)
    return found is not None and found.raw_string == text


def _span(match: re.Match[str], number: PhoneNumber, score: float) -> Span:
    normalized = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return Span("PHONE", match.start(), match.end(), score, normalized)


def _parse(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text.replace("\n", " "), region)
    except phonenumbers.NumberParseException:
        return None
