"""What capitalised words are made of, and which of them are no part of a name."""

import re
from collections.abc import Iterable

UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪĮİĶŁĻĽŃŅŇŌŐŒŔŘŚŞŠŢȚŤŪŮŰŲŹŻŽ"
# Possessive: letters that were read are not read again, so a text of nothing else takes no longer.
CAPITALISED = rf"[{UPPER}](?:[^\W\d_]++|(?=['\u2019][{UPPER}]))(?:[-'\u2019][^\W\d_]++){{0,3}}+"
GAP = r"(?:[ \u00a0]|[ ]?\n)"
_WRAPPED_LINE = 40
"""Characters; a line that ends sooner was ended on purpose, so a name does not go on in the next."""

_WORD = re.compile(r"\S+")


def either(names: Iterable[str]) -> str:
    """Return a pattern of these names as they are and in lower case, capitals or capitalised; longest first.

    Not by IGNORECASE, which also takes letters that no `lower()` gives back, such as a dotless i.
    """
    cases = {case for name in names for case in (name, name.lower(), name.upper(), name.capitalize())}
    return "|".join(re.escape(case) for case in sorted(cases, key=lambda case: (-len(case), case)))


def whole_lines(text: str, start: int, end: int) -> int:
    """Return where a name in `text[start:end]` ends: before a line break that was made on purpose."""
    position = text.find("\n", start, end)
    while position >= 0:
        line = text[max(0, position - _WRAPPED_LINE) : position]
        if len(line) < _WRAPPED_LINE or "\n" in line:
            return start + len(text[start:position].rstrip())
        position = text.find("\n", position + 1, end)
    return end


def words(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the places of the words between white space in `text[start:end]`."""
    return [match.span() for match in _WORD.finditer(text, start, end)]
