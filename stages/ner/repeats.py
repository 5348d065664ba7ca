"""Further mentions, anywhere in the document, of names and references that were found in one place."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stages.ner.organisation import without_form
from stages.ner.span import Span, settle

_MOST = 300
"""Names looked for; each one costs a comparison at every word of the document."""
_SCORE = 0.7
_REFERENCE = re.compile(r"(?=.*\d)(?=.*[A-Za-z/-]).{6,}")


def complete(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans with every other mention of their names, settled among each other.

    Persons by their whole name, organisations also without their legal form, references that no
    ordinary number looks like: a page's running head has them without the label that told them apart.
    """
    known = dict(_known(spans))
    if not known:
        return spans
    longest_first = sorted(known, key=len, reverse=True)[:_MOST]
    names = "|".join(r"\s".join(map(re.escape, name.split())) for name in longest_first)
    pattern = re.compile(rf"(?<![\w@./-])(?:{names})(?![\w@-]|[./]\w)")
    again = (
        replace(known[name], start=match.start(), end=match.end(), score=_SCORE, normalized=name)
        for match in pattern.finditer(text)
        if (name := " ".join(match[0].split())) in known
    )
    return settle([*spans, *again])


def _known(spans: Iterable[Span]) -> Iterator[tuple[str, Span]]:
    for span in spans:
        if span.label not in ("PERSON", "ORG", "REFERENCE") or span.normalized is None or span.fixed:
            continue
        if span.label == "REFERENCE":
            if _REFERENCE.fullmatch(span.normalized):
                yield span.normalized, span
            continue
        names = {span.normalized}
        if span.label == "ORG":
            names.add(without_form(span.normalized))
        for name in names:
            if " " in name:
                yield name, span
