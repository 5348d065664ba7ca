"""Finds again in a text what was quoted from it."""

import re

_LONGEST = 300
"""Characters of a wording that is looked for: a name is no paragraph."""


def places(wording: str, text: str) -> list[tuple[int, int]]:
    """Return where the text has these words, as offsets, half open; in any case where it nowhere has theirs.

    White space between words may be any, as a name can go over the end of a line. A wording is no part
    of a longer word.
    """
    words = wording.split()
    if not words or len(wording) > _LONGEST:
        return []
    before = r"(?<!\w)" if words[0][0].isalnum() else ""
    after = r"(?!\w)" if words[-1][-1].isalnum() else ""
    pattern = before + r"\s+".join(map(re.escape, words)) + after
    for flags in (re.NOFLAG, re.IGNORECASE):
        found = [match.span() for match in re.finditer(pattern, text, flags)]
        if found:
            return found
    return []
