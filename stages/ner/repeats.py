"""Further mentions, anywhere in the document, of names and references that were found in one place."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from stages.ner.gazetteer import ordinary_words, places
from stages.ner.names import TITLE
from stages.ner.organisation import without_form
from stages.ner.span import Span, last_before, settle
from stages.ner.words import UPPER

_MOST = 300
"""Names looked for; each one costs a comparison at every word of the document."""
_SCORE, _SHORT_SCORE = 0.7, 0.6
_SURE = 0.7
"""Score of a person whose given name or surname is looked for alone."""
_SHORTEST = 3
_INITIAL = re.compile(rf"(?<![\w.])[{UPPER}]\.[ ]?\Z")
_WORD_BEFORE = re.compile(rf"(?<!\w)(?<![.!?]\s)([{UPPER}][\w'\u2019-]{{0,30}}|&)[ ]\Z")
_WORD_AFTER = re.compile(rf"[ ]([{UPPER}][\w'\u2019-]{{0,30}}|&)")
_REFERENCE = re.compile(r"(?=.*\d)(?=.*[A-Za-z/-]).{6,}")


def complete(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans with every other mention of their names, settled among each other.

    Persons by their whole name, their surname or their given name, organisations also without their legal
    form, towns of addresses, references that no ordinary number looks like: a page's running head has
    them without the label that told them apart.
    """
    known, short = dict(_known(spans)), dict(_short(spans))
    again = [*_mentions(text, known, _SCORE), *_mentions(text, short, _SHORT_SCORE, alone=True)]
    return settle([*spans, *again]) if again else spans


def _mentions(text: str, known: dict[str, Span], score: float, *, alone: bool = False) -> Iterator[Span]:
    """Yield where the names stand; `alone`: only with no other capitalised word beside them."""
    if not known:
        return
    longest_first = sorted(known, key=len, reverse=True)[:_MOST]
    names = "|".join(r"\s".join(map(re.escape, name.split())) for name in longest_first)
    for match in re.finditer(rf"(?<![\w@./-])(?:{names})(?![\w@-]|[./]\w)", text):
        name = " ".join(match[0].split())
        if name in known and not (alone and _in_a_longer_name(text, *match.span())):
            span, start = known[name], match.start()
            initial = _INITIAL.search(text, max(0, start - 4), start) if alone else None
            if initial and span.label == "PERSON":
                start, name = initial.start(), f"{initial[0].rstrip()} {name}"
            yield replace(span, start=start, end=match.end(), score=score, normalized=name)


def _in_a_longer_name(text: str, start: int, end: int) -> bool:
    """Return whether a capitalised word or `&` is beside it not ordinary and not a sentence's first."""
    before, after = _WORD_BEFORE.search(text, max(0, start - 40), start), _WORD_AFTER.match(text, end)
    return any(
        beside is not None and beside[1] not in ordinary_words() and not TITLE.fullmatch(beside[1])
        for beside in (before, after)
    )


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


def _short(spans: Iterable[Span]) -> Iterator[tuple[str, Span]]:
    """Yield the towns of addresses, then the given names and surnames of persons that are hardly a guess."""
    whole = [span for span in spans if span.normalized and not span.fixed and span.score >= _SURE]
    addresses = sorted((span for span in whole if span.label == "ADDRESS"), key=lambda span: span.start)
    for span in whole:
        address = last_before(span.end, addresses) if span.label == "LOC" else None
        if address is not None and span.overlaps(address):
            yield span.normalized or "", span
    for span in whole:
        if span.label != "PERSON":
            continue
        words = [word.strip(",") for word in (span.normalized or "").split()]
        parts = {words[0], words[-1]} if len(words) > 1 else set()
        for part in parts:
            name = part.capitalize() if part.isupper() else part
            if (
                len(name) >= _SHORTEST
                and name.isalpha()
                and name not in ordinary_words()
                and name not in places()
            ):
                yield name, replace(span, normalized=name)
