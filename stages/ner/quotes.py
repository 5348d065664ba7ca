"""Finds again in a text what was quoted from it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stages.ner.hints import Hints
from stages.ner.normal import normalize
from stages.ner.part import Part
from stages.ner.span import Span

_LONGEST = 300
"""Characters of a wording that is looked for: a name is no paragraph."""

SCORE = 0.7
"""Of each mention: models tell no probability that means something. Surer than a guess by shape, less sure
than what a checksum or a label confirms."""


@dataclass(frozen=True, slots=True)
class Located:
    """Wordings by their places in the whole text."""

    spans: list[Span]
    missing: int
    """Wordings that no part has."""


def located(wordings: Sequence[tuple[str, str]], parts: Sequence[Part], hints: Hints) -> Located:
    """Find every (label, wording) in the parts. Runs in a child process: texts may be made to take long."""
    spans: list[Span] = []
    missing = 0
    for label, wording in wordings:
        found = [(part, start, end) for part in parts for start, end in places(wording, part.text)]
        missing += not found
        for part, start, end in found:
            value = normalize(label, part.text[start:end], hints)
            spans.append(Span(label, part.start + start, part.start + end, SCORE, value))
    return Located(spans, missing)


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
