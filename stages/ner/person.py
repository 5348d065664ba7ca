"""Persons, by titles, by labels and roles beside the name, by signatures, and by their given names."""

import re
from collections.abc import Iterator

from stages.ner.gazetteer import given_names, ordinary_words, places, streets
from stages.ner.span import Span
from stages.ner.words import CAPITALISED, GAP, UPPER, whole_lines, words

_PARTICLE = r"(?:van|von|der|den|de|del|della|di|da|du|la|le|ten|ter|zu|dos|bin|al|el)(?=\s)"
_INITIAL = rf"[{UPPER}]\."
_FIRST = rf"(?:{CAPITALISED}|{_INITIAL}[ ]?(?:{_INITIAL}[ ]?)?{CAPITALISED})"
_NAME = rf"(?P<name>{_FIRST}(?:{GAP}(?:{_INITIAL}|{CAPITALISED}|{_PARTICLE})){{0,4}})"
_HONORIFIC = (
    r"(?:Mrs?|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Dame|Herrn?|Frau|Monsieur|Madame|Mademoiselle|Mme|Mlle|"
    r"MM?(?=\.)|Dipl\.-?[ ]?\w{2,8}|Ing|med|jur|Rev)\.?"
)
_TITLED = re.compile(rf"(?<!\w)(?:{_HONORIFIC}{GAP}){{1,4}}{_NAME}")
_LABELS = (
    r"signed(?: for and on behalf of [^\n]{1,60})?(?: by)?|contact(?: person)?|attn\.?|attention|"
    r"f\.?a\.?o\.?|care of|c/o|prepared by|approved by|written by|reviewed by|checked by|issued by|"
    r"authori[sz]ed by|author|cashier|served by|employee|tenant|landlord|patient|passenger|"
    r"account holder|card ?holder|managing directors?|director|manager|represented by|on behalf of|"
    r"ansprechpartner(?:in)?|sachbearbeiter(?:in)?|bearbeiter(?:in)?|geschäftsführer(?:in)?|geschäftsführung|"
    r"vertreten durch|z\. ?hd\.?(?: v\.)?|inh(?:aber(?:in)?)?\.?|vorstand|unterzeichner|kontoinhaber|"
    r"gérant(?:e)?|représentée? par|à l['\u2019]attention de|signataire|"
    r"chief (?:executive|financial|operating|technology) officer|ceo|cfo|cto|president|treasurer|"
    r"chair(?:man|woman)?"
)
_LABELLED = re.compile(
    rf"(?<!\w)(?i:{_LABELS})(?:[ ]?:[ ]?|,?{GAP}|:[ ]?\n)"
    rf"(?:(?:the |its |den |die |by )?(?:{_HONORIFIC}[ ])*){_NAME}"
)
_ROLE = (
    r"(?:(?:Managing|Executive|Sales|Operations|Finance|Financial|Technical|Project|Office|General|Chief|Senior|"
    r"Deputy|Account|Plant|Human|Legal|Company)\s){0,2}(?:Director|Manager|Officer|President|Secretary|Treasurer|"
    r"Chair\w*|Partner|Founder|Owner|Head\sof|Engineer\w*|Counsel|Attorney|Consultant|Clerk|Controller|Accountant|"
    r"CEO|CFO|CTO)"
    r"|Geschäftsführer|Prokurist|Vorstand|Inhaber|Leiter|Gérant|Directeur|Directrice|Président"
)
_WITH_ROLE = re.compile(
    rf"(?:^|(?<=[,;:(]\s)|(?<=\s(?:by|is|to)\s)|(?<=\sfor\s)){_NAME}"
    rf"(?:,[ ]|[ ]?\n|[ ]\()(?:the[ ])?(?:{_ROLE})",
    re.MULTILINE,
)
_CLOSING = re.compile(
    r"(?i:sincerely|faithfully|truly|regards|wishes|grüßen|grüssen|grüße|gruß|cordialement|salutations[^\n]{0,30})"
    rf",?[ ]?\n\s{{0,8}}(?:{_HONORIFIC}[ ])*{_NAME}[ ]?(?=\n|\Z|,)"
)
_SALUTATION = re.compile(rf"(?<!\w)(?:Dear|Hi|Hello|Liebe[r]?|Chère?)[ ]{_NAME}(?=[,!:\n])")
_WITH_INITIAL = re.compile(
    rf"(?:(?<=[,:;(]\s)|(?<=\sby\s)|(?<=\swith\s))(?P<name>{_INITIAL}[ ]?(?:{_INITIAL}[ ]?)?{CAPITALISED})"
)
_RUN = re.compile(rf"(?<![\w-]){CAPITALISED}(?:{GAP}(?:{_INITIAL}|{CAPITALISED}|{_PARTICLE})){{1,7}}")
_MOST_WORDS = 4


def find(text: str) -> Iterator[Span]:
    """Yield persons without their titles; normalised to single spaces."""
    for pattern, score, alone in (
        (_TITLED, 0.93, True),
        (_LABELLED, 0.85, False),
        (_CLOSING, 0.85, False),
        (_WITH_ROLE, 0.8, False),
        (_SALUTATION, 0.7, False),
        (_WITH_INITIAL, 0.65, False),
    ):
        for match in pattern.finditer(text):
            span = _name(text, *match.span("name"), score, alone=alone)
            if span is not None:
                yield span
    for run in _RUN.finditer(text):
        start, end = run.span()
        while start < end:
            line = whole_lines(text, start, end)
            yield from _known(text, start, line)
            start = line + 1


def _known(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the names in a run of capitalised words that begin with a known given name."""
    places_ = words(text, start, end)
    index = 0
    while index < len(places_) - 1:
        if text[slice(*places_[index])].partition("-")[0] in given_names():
            span = _name(text, places_[index][0], end, 0.8, alone=False)
            if span is not None:
                yield span
                index += len(text[span.start : span.end].split())
                continue
        index += 1


def _name(text: str, start: int, end: int, score: float, *, alone: bool) -> Span | None:
    """Return the name without the words after it that are none.

    `alone` says that one word is enough; elsewhere a single one must be a known given name.
    """
    end = whole_lines(text, start, end)
    kept: list[tuple[int, int]] = []
    for place in words(text, start, end)[:_MOST_WORDS]:
        word = text[slice(*place)]
        if word in ordinary_words() or word in streets():
            break
        kept.append(place)
    while (kept and not text[kept[-1][0]].isupper()) or (kept and text[slice(*kept[-1])].endswith(".")):
        kept.pop()
    if not kept:
        return None
    name = text[start : kept[-1][1]]
    one = len(kept) == 1 and "." not in name
    if name in places() or (one and not alone and name not in given_names()):
        return None
    # In capitals anything may follow a label: `AUTHOR OR CONTRIBUTORS BE LIABLE`.
    if name.isupper() and not one and text[slice(*kept[0])].capitalize() not in given_names():
        return None
    return Span("PERSON", start, kept[-1][1], score, " ".join(name.split()))
