"""A locale: the region by which ambiguous dates and phone numbers are read."""

import re
from typing import Annotated

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?[-_]([A-Za-z]{2})")
_MONTH_FIRST = frozenset(["US", "PH", "FM", "MH", "PW", "PR", "GU", "AS", "VI"])
"""Regions that write 03/04/2026 for March 4th."""


def region(locale: str) -> str:
    """Return a locale's ISO 3166 code, in capitals.

    Raises:
        ValueError: it names no region, or one without phone numbers.
    """
    match = _TAG.fullmatch(locale)
    if match is None or match[1].upper() not in SUPPORTED_REGIONS:
        raise ValueError(f"no locale {locale!r}: use a language with a region, such as en-GB, en-US or de-DE")
    return match[1].upper()


def month_first(region: str) -> bool:
    """Return whether numeric dates are month first there."""
    return region in _MONTH_FIRST


def _checked(locale: str) -> str:
    region(locale)
    return locale


Locale = Annotated[str, AfterValidator(_checked)]
