"""What a document's own text says about how to read its phone numbers and dates."""

import re
from collections import Counter
from dataclasses import dataclass

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from stages.ner import date, iban, place, vat
from stages.ner.gazetteer import places
from stages.ner.locale import month_first, region

READ = 60_000
"""Characters; letterheads, addresses and bank details stand at the beginning."""
_MOST_REGIONS = 3
_INTERNATIONAL = re.compile(r"(?<!\w)(?:\+|00)([1-9]\d{0,2})")
_AMERICAN = re.compile(r"(?<!\w)[A-Z]{2} \d{5}(?:-\d{4})?(?!\w)")
_BRITISH = re.compile(r"(?<!\w)[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}(?!\w)")
_VAT_REGIONS = {"EL": "GR", "XI": "GB", "CHE": "CH"}
"""VAT prefixes that are no ISO 3166 codes."""


@dataclass(frozen=True, slots=True)
class Hints:
    """How to read what is ambiguous."""

    regions: tuple[str, ...] = ()
    """ISO 3166 codes for phone numbers without an international prefix, the likeliest first."""
    month_first: bool = False
    """True where 03/04/2026 is March 4th."""


@dataclass(frozen=True, slots=True)
class Given:
    """What is known beforehand."""

    region: str | None = None
    """ISO 3166 code for phone numbers."""
    date_order: str = "auto"
    """`dmy`, `mdy`, or `auto`."""
    locale: str | None = None


def read(text: str, given: Given) -> Hints:
    """Return what is given, and for what it leaves open, what the text's beginning suggests.

    Regions are those of its IBANs, VAT ids, international phone numbers, postcodes and places, after
    that of the locale. Dates are month first where one can only be read so, or else, when no date can
    only be day first, where the locale has it so, or without one the likeliest region is the United States.
    """
    beginning = text[:READ]
    regions = [each for each, _ in _regions(beginning).most_common(_MOST_REGIONS)]
    local = region(given.locale) if given.locale else None
    first = given.region or local
    if first is not None:
        regions = [first, *(each for each in regions if each != first)]
    if given.date_order != "auto":
        return Hints(tuple(regions), given.date_order == "mdy")
    day, month = date.order(beginning)
    usual = month_first(local) if local else regions[:1] == ["US"]
    return Hints(tuple(regions), month > day or (month == day and usual))


def _regions(text: str) -> Counter[str]:
    """Count what speaks for each region; numbers of a bank, a tax office or a phone count double."""
    counted: Counter[str] = Counter()
    for span in (*iban.find(text), *vat.find(text)):
        prefix = re.match("[A-Z]+", span.normalized or "")
        if prefix:
            counted[_VAT_REGIONS.get(prefix[0][:3], _VAT_REGIONS.get(prefix[0][:2], prefix[0][:2]))] += 2
    for match in _INTERNATIONAL.finditer(text):
        for length in (3, 2, 1):
            regions = COUNTRY_CODE_TO_REGION_CODE.get(int(match[1][:length]))
            if regions and len(match[1]) >= length:
                counted[regions[0]] += 2
                break
    for span in place.find(text):
        if span.normalized in places():
            counted[places()[span.normalized]] += 1
    counted["US"] += sum(1 for _ in _AMERICAN.finditer(text))
    counted["GB"] += sum(1 for _ in _BRITISH.finditer(text))
    return +counted
