"""VAT identification numbers of Europe, by each country's format and, where it is public, its check digit."""

import re
from collections.abc import Callable, Iterator, Sequence

from stages.ner.span import Span

# 9 is a digit, @ a letter, * either, a letter itself; the longest first.
FORMATS: dict[str, tuple[str, ...]] = {
    "AT": ("U99999999",),
    "BE": ("9999999999",),
    "BG": ("9999999999", "999999999"),
    "CHE": ("999999999MWST", "999999999TVA", "999999999IVA", "999999999"),
    "CY": ("99999999@",),
    "CZ": ("9999999999", "999999999", "99999999"),
    "DE": ("999999999",),
    "DK": ("99999999",),
    "EE": ("999999999",),
    "EL": ("999999999",),
    "ES": ("*9999999*",),
    "FI": ("99999999",),
    "FR": ("**999999999",),
    "GB": ("999999999999", "999999999"),
    "HR": ("99999999999",),
    "HU": ("99999999",),
    "IE": ("9999999@@", "9999999@", "9*99999@"),
    "IT": ("99999999999",),
    "LT": ("999999999999", "999999999"),
    "LU": ("99999999",),
    "LV": ("99999999999",),
    "MT": ("99999999",),
    "NL": ("999999999B99",),
    "NO": ("999999999MVA",),
    "PL": ("9999999999",),
    "PT": ("999999999",),
    "RO": ("9999999999", "999999999", "99999999"),
    "SE": ("999999999999",),
    "SI": ("99999999",),
    "SK": ("9999999999",),
    "XI": ("999999999999", "999999999"),
}
_CLASSES = {"9": "[0-9]", "@": "[A-Z]", "*": "[A-Z0-9]"}
_LABEL = re.compile(
    r"(?:\bVAT|\bU\.?St\b|\bUSt\W?-?\W?Id|Umsatzsteuer|\bUID|\bMwSt|\bTVA|\bBTW|\bIVA|\bNIF\b|\bCIF\b|\bMoms|\bMVA|\bTax)"
    r"[^\n]{0,30}$",
    re.IGNORECASE,
)


def _pattern() -> re.Pattern[str]:
    gap = r"[ .\u00a0-]?"
    countries = []
    for country, formats in FORMATS.items():
        bodies = "|".join(gap.join(_CLASSES.get(each, each) for each in format_) for format_ in formats)
        countries.append(rf"{country}{gap}(?:{bodies})")
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(countries)})(?![A-Za-z0-9]|-[0-9])")


_NUMBER = _pattern()


def find(text: str) -> Iterator[Span]:
    """Yield VAT ids; normalised without separators.

    Where a label names it (`VAT ID`, `USt-IdNr.`, `TVA` …) the format is enough; elsewhere the check
    digit must be known and right, because order numbers look just the same.
    """
    for match in _NUMBER.finditer(text):
        compact = re.sub(r"[^A-Z0-9]", "", match[0])
        labelled = _LABEL.search(text, max(0, match.start() - 45), match.start()) is not None
        confirmed = check(compact)
        if confirmed or labelled:
            score = 0.98 if confirmed else 0.8
            yield Span("VAT_ID", match.start(), match.end(), score, compact)


def check(compact: str) -> bool | None:
    """Return whether the check digit is right, None where this country's is not known here."""
    country = "CHE" if compact.startswith("CHE") else compact[:2]
    function = CHECKS.get(country)
    return None if function is None else function(compact[len(country) :])


def _digits(text: str) -> list[int]:
    return [int(each) for each in text if each.isdigit()]


def _weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def _luhn(digits: Sequence[int]) -> bool:
    doubled = [
        digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits[::-1])
    ]
    return sum(doubled) % 10 == 0


def _germany(body: str) -> bool:
    *digits, last = _digits(body)
    product = 10
    for digit in digits:
        product = 2 * ((digit + product) % 10 or 10) % 11
    return (11 - product) % 10 == last


def _austria(body: str) -> bool:
    *digits, last = _digits(body)
    total = sum(sum(divmod(digit * (1 + place % 2), 10)) for place, digit in enumerate(digits))
    return (96 - total) % 10 == last


def _britain(body: str) -> bool:
    digits = _digits(body)[:9]
    total = _weighted(digits, range(8, 1, -1)) + 10 * digits[7] + digits[8]
    return total % 97 == 0 or (total + 55) % 97 == 0


def _france(body: str) -> bool:
    return body[:2].isdigit() and (12 + 3 * (int(body[2:]) % 97)) % 97 == int(body[:2])


def _netherlands(body: str) -> bool:
    digits = _digits(body)[:9]
    if _weighted(digits, range(9, 1, -1)) % 11 == digits[8]:
        return True
    return int("".join(str(int(each, 36)) for each in "NL" + body)) % 97 == 1


def _modulo_11(weights: Sequence[int]) -> Callable[[str], bool]:
    """Return the common check: a weighted sum, its complement to 11 as the last digit, 10 and 11 as 0."""

    def right(body: str) -> bool:
        digits = _digits(body)
        return (11 - _weighted(digits, weights) % 11) % 11 % 10 == digits[len(weights)]

    return right


CHECKS: dict[str, Callable[[str], bool]] = {
    "AT": _austria,
    "BE": lambda body: 97 - int(body[:8]) % 97 == int(body[8:]),
    "CHE": _modulo_11((5, 4, 3, 2, 7, 6, 5, 4)),
    "DE": _germany,
    "DK": lambda body: _weighted(_digits(body), (2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0,
    "FI": _modulo_11((7, 9, 10, 5, 8, 4, 2)),
    "FR": _france,
    "GB": _britain,
    "IT": lambda body: _luhn(_digits(body)),
    "LU": lambda body: int(body[:6]) % 89 == int(body[6:]),
    "NL": _netherlands,
    "NO": _modulo_11((3, 2, 7, 6, 5, 4, 3, 2)),
    "PL": lambda body: _weighted(_digits(body), (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(body[9]),
    "PT": _modulo_11((9, 8, 7, 6, 5, 4, 3, 2)),
    "SE": lambda body: _luhn(_digits(body)[:10]),
    "SI": _modulo_11((8, 7, 6, 5, 4, 3, 2)),
}
