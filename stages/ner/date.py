"""Calendar dates, with months as numbers or by their names in seven languages."""

import re
from collections.abc import Callable, Iterator
from datetime import date

from stages.ner.span import Span
from stages.ner.words import either

_MONTHS = (
    "January Jan Januar Jänner janvier janv enero gennaio januari janeiro",
    "February Feb Februar Feber février fevrier févr febrero febbraio februari fevereiro",
    "March Mar März Maerz Mrz mars marzo maart mrt março",
    "April Apr avril avr abril aprile",
    "May Mai mayo maggio mei maio",
    "June Jun Juni juin junio giugno junho",
    "July Jul Juli juillet juil julio luglio julho",
    "August Aug août aout agosto augustus",
    "September Sept Sep septembre septiembre setiembre settembre setembro",
    "October Oct Oktober Okt octobre octubre ottobre outubro",
    "November Nov novembre noviembre novembro",
    "December Dec Dezember Dez décembre decembre déc diciembre dicembre dezembro",
)
# Also words of other languages, such as `set` and `ago`: months only after a day.
_SHORT = ("ene gen", "febr fev", "", "abr", "mag", "giu", "lug", "ago", "set sett", "ott", "", "dic")


def _numbered(months: tuple[str, ...]) -> dict[str, int]:
    return {name.lower(): number for number, names in enumerate(months, 1) for name in names.split()}


_WITH_YEAR = _numbered(_MONTHS)
MONTHS = _WITH_YEAR | _numbered(_SHORT)
_MONTH = rf"(?P<month>{either(_WITH_YEAR)})(?![^\W\d_])\.?"
_MONTH_OF_DAY = rf"(?P<month>{either(MONTHS)})(?![^\W\d_])\.?"
_YEAR = r"(?P<year>(?:19|20)\d\d)(?!\d|[.,]\d)"
_DAY = r"(?P<day>\d{1,2})"
_BEFORE = r"(?<![\d/])(?<!\d[.,-])"
_AFTER = r"(?!\d|[./-]\d)"

_ISO = re.compile(
    rf"(?<![\w/.-])(?P<year>(?:19|20)\d\d)([-/.])(?P<month>\d\d?)\2{_DAY}(?:(?=T\d\d)|(?![\w/-]|\.\d))"
)
_NUMERIC = re.compile(
    rf"{_BEFORE}(?<!\w)(?P<first>\d{{1,2}})(?P<mark>\.[ ]?|/|-)(?P<second>\d{{1,2}})(?P=mark)"
    rf"(?P<year>(?:19|20)\d\d|\d\d){_AFTER}(?![^\W\d_])"
)
_DAY_MONTH = re.compile(
    rf"{_BEFORE}(?<!\w){_DAY}(?:st|nd|rd|th|er|e|\.?[°º]|\.)?[ \u00a0]?(?:\s|of\s|de\s|-)?{_MONTH_OF_DAY}"
    rf"(?:[,-]?\s{{0,2}}-?|\sdel?\s){_YEAR}"
)
_MONTH_DAY = re.compile(rf"(?<!\w){_MONTH}\s?{_DAY}(?:st|nd|rd|th)?(?:,\s{{0,2}}|\s|\.\s){_YEAR}")
_MONTH_YEAR = re.compile(rf"(?<!\w)(?<!\d\s)(?<!\d\.\s){_MONTH},?\s(?:del?\s)?{_YEAR}")


def find(text: str, *, month_first: bool) -> Iterator[Span]:
    """Yield dates that the calendar has, from 1900 to 2099; normalised to ISO 8601.

    `03/04/2026` is April 3rd, or March 4th where `month_first`; with full stops the day always comes
    first. A month with its year is `2026-03`. Two digits of a year are of this century.
    """
    readings: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str | None], float], ...] = (
        (_ISO, lambda match: _iso(match["year"], match["month"], match["day"]), 0.98),
        (_NUMERIC, lambda match: _numeric(match, month_first=month_first), 0.9),
        (_DAY_MONTH, _named, 0.97),
        (_MONTH_DAY, _named, 0.97),
        (_MONTH_YEAR, lambda match: f"{match['year']}-{MONTHS[match['month'].lower()]:02}", 0.75),
    )
    for pattern, read, score in readings:
        for match in pattern.finditer(text):
            normalized = read(match)
            if normalized is not None:
                yield Span("DATE", match.start(), match.end(), score, normalized)


def order(text: str) -> tuple[int, int]:
    """Return how many dates with slashes or dashes can only be day first, and only month first."""
    day, month = 0, 0
    for match in _NUMERIC.finditer(text):
        if match["mark"] in "/-":
            day += int(match["first"]) > 12
            month += int(match["second"]) > 12
    return day, month


def _named(match: re.Match[str]) -> str | None:
    return _iso(match["year"], str(MONTHS[match["month"].lower()]), match["day"])


def _numeric(match: re.Match[str], *, month_first: bool) -> str | None:
    first, second, year = match["first"], match["second"], match["year"]
    if len(year) == 2:
        # `4.10.12` is a section or a version, and `10-20-30` a part number.
        if match["mark"] == "-" or (len(first) + len(second) < 4 and match["mark"] != "/"):
            return None
        year = f"20{year}"
    day, month = (second, first) if month_first and match["mark"] in "/-" else (first, second)
    # What only the other order allows is read in that order.
    if match["mark"] in "/-" and int(month) > 12:
        day, month = month, day
    return _iso(year, month, day)


def _iso(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
