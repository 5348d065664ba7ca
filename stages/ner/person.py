"""Persons, by titles, by labels and roles beside the name, in heads and ends of letters, by given names."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

from stages.ner import cues
from stages.ner.gazetteer import given_names
from stages.ner.names import AFTER_TITLE, HONORIFIC, INITIAL, NAME, PARTICLE, WORD, name_at
from stages.ner.span import Span
from stages.ner.words import CAPITALISED, GAP, UPPER, whole_lines, words

_TITLES = rf"(?:{HONORIFIC}[ ]){{0,3}}"
_TITLED = re.compile(rf"(?<!\w)(?:{HONORIFIC}{GAP}){{1,4}}{AFTER_TITLE}")
# A given name's initial elsewhere.
_DON = re.compile(rf"(?<!\w)D\.[ ]{NAME}")
_SPANISH = re.compile(r"D\.ª|Dña|(?<!\w)(?:doña|contrato|fecha|calle|firmado|euros)(?!\w)", re.IGNORECASE)
_LABELLED = re.compile(
    rf"(?<!\w)(?:(?i:{cues.LABELS})(?:[ ]?:[ ]?|,?{GAP}|:[ ]?\n)|(?i:{cues.BEFORE_COLON})[ ]?:[ ]{{1,3}})"
    rf"(?:(?:the |its |den |die |by )?(?:{HONORIFIC}[ ])*){NAME}"
)
_WITH_ROLE = re.compile(
    rf"(?:^|(?<=[,;:(]\s)|(?<=\s(?:by|is|to)\s)|(?<=\sfor\s)){NAME}"
    rf"(?:,[ ]|[ ]?\n|[ ]\()(?:the[ ])?(?:{cues.ROLES})(?!\w)",
    re.MULTILINE,
)
_CLOSING = re.compile(rf"(?<!\w)(?i:{cues.CLOSINGS}),?[ ]?\n\s{{0,20}}{_TITLES}{NAME}[ ]*(?=\n|\Z|,)")
# The name in print below a signature.
_PRINTED = re.compile(rf"\s{{1,20}}(?P<title>{_TITLES}){NAME}[ ]*(?=\n|\Z|,)")
_SALUTATION = re.compile(rf"(?<!\w)(?:{cues.SALUTATIONS})[ ]{NAME}(?=[ ]?[,!:\n])")
_MAILBOX = re.compile(rf"(?:(?<=[\s\"'])|^){NAME}[\"']?[ ]?(?=<[^\s<>@]{{1,64}}@)")
_HEADER = re.compile(
    r"^(?:>[ ]?){0,3}(?i:from|to|cc|bcc|von|an|de|para|à|da|a|van|aan|kopie):[ ]{1,3}"
    rf"{NAME}[ ]?(?=$|[<;,])",
    re.MULTILINE,
)
_RELATED = re.compile(rf"(?<!\w)(?:{cues.RELATIONS}),?{GAP}{NAME}")
_DOING = re.compile(rf"(?:^|(?<=[.!?,;:(]\s)){NAME}(?=\s(?:{cues.DEEDS})(?!\w))", re.MULTILINE)
_WITH_INITIAL = re.compile(
    rf"(?:(?<=[,:;(]\s)|(?<=\sby\s)|(?<=\swith\s))(?P<name>{INITIAL}[ ]?(?:{INITIAL}[ ]?)?{CAPITALISED})"
)
_SURNAME_FIRST = re.compile(
    rf"(?<![\w,'-])(?P<name>[{UPPER}]{{2,30}}(?:[-'\u2019 ][{UPPER}]{{2,30}})?,[ ]"
    rf"(?P<given>{CAPITALISED}))(?!\w)"
)
_LIST = re.compile(rf"(?<!\w)(?:(?i:{cues.LISTS})[ ]?:|MM\.|Messrs\.?|Herren)(?=\s)")
_LISTED = re.compile(
    rf"(?:[,;\s]|(?:{cues.AND})\s){{0,6}}{_TITLES}{NAME}(?:[ ]?\([^()\n]{{1,40}}\))?"
    rf"(?=[ ]?[,;.\n]|[ ](?:{cues.AND})\s|\s*\Z)"
)
_JOINED = re.compile(rf"[ ](?:{cues.AND})[ ]{_TITLES}{NAME}")
_RUN = re.compile(rf"(?<![\w-]){CAPITALISED}(?:{GAP}(?:{INITIAL}|{WORD}|{PARTICLE})){{1,7}}")
_LOCAL_PART = re.compile(r"(?<![\w.%+-])([a-z]{1,20})[._-]([a-z]{3,20}(?:[_-][a-z]{3,20})?)@")
_MOST_LISTED, _MOST_ADDRESSES = 40, 30
# pattern, score, whether one word is enough, whether a title is before it
_PATTERNS = (
    (_TITLED, 0.93, True, True),
    (_MAILBOX, 0.9, True, False),
    (_LABELLED, 0.85, False, False),
    (_HEADER, 0.85, False, False),
    (_WITH_ROLE, 0.8, False, False),
    (_SALUTATION, 0.7, True, False),
    (_RELATED, 0.75, False, False),
    (_DOING, 0.7, False, False),
    (_WITH_INITIAL, 0.65, False, False),
)


def find(text: str) -> Iterator[Span]:
    """Yield persons without their titles; normalised to single spaces."""
    spanish = _SPANISH.search(text) is not None
    for span in _by_cue(text, spanish=spanish):
        yield span
        joined = _JOINED.match(text, span.end)
        other = name_at(text, *joined.span("name"), 0.7, alone=False) if joined else None
        if other is not None and not (spanish and text.startswith("D. ", other.start)):
            yield other
    for match in _SURNAME_FIRST.finditer(text):
        if match["given"] in given_names():
            yield Span("PERSON", *match.span("name"), 0.8, match["name"])
    yield from _named_by_address(text)
    for run in _RUN.finditer(text):
        start, end = run.span()
        while start < end:
            line = whole_lines(text, start, end)
            yield from _known(text, start, line)
            start = line + 1


def _by_cue(text: str, *, spanish: bool) -> Iterator[Span]:
    for pattern, score, alone, titled in _PATTERNS:
        for match in pattern.finditer(text):
            span = name_at(text, *match.span("name"), score, alone=alone, titled=titled)
            if span is not None:
                yield span
    yield from _signed(text)
    if spanish:
        for match in _DON.finditer(text):
            span = name_at(text, *match.span("name"), 0.95, alone=False)
            if span is not None:
                yield span
    for label in _LIST.finditer(text):
        yield from _listed(text, label.end())


def _signed(text: str) -> Iterator[Span]:
    """Yield the names that end letters, without what OCR reads of a signature above the printed one."""
    for match in _CLOSING.finditer(text):
        span = name_at(text, *match.span("name"), 0.85, alone=True)
        if span is not None and not _scribbled(text, span):
            yield span


def _scribbled(text: str, span: Span) -> bool:
    """Return whether this is one word that is no given name, above a name with a title or a given name."""
    word = text[span.start : span.end]
    if len(word.split()) > 1 or word in given_names():
        return False
    printed = _PRINTED.match(text, span.end)
    return printed is not None and bool(printed["title"] or printed["name"].split()[0] in given_names())


def _listed(text: str, position: int) -> Iterator[Span]:
    """Yield the names that follow each other from here on, whole ones or known given names."""
    for _ in range(_MOST_LISTED):
        match = _LISTED.match(text, position)
        span = name_at(text, *match.span("name"), 0.8, alone=False) if match else None
        if match is None or span is None or "\n\n" in match[0]:
            return
        yield span
        position = match.end()


def _known(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the names in a run of capitalised words that begin with a known given name."""
    places_ = words(text, start, end)
    index = 0
    while index < len(places_) - 1:
        if text[slice(*places_[index])].partition("-")[0] in given_names():
            span = name_at(text, places_[index][0], end, 0.8, alone=False)
            if span is not None:
                yield span
                index += len(text[span.start : span.end].split())
                continue
        index += 1


def _named_by_address(text: str) -> Iterator[Span]:
    """Yield names that the document's own addresses spell: `Ada Byron` of `a.byron@old-mill.example`."""
    found = dict.fromkeys(match.groups() for match in _LOCAL_PART.finditer(text))
    if not found:
        return
    plain = "".join(unicodedata.normalize("NFD", each)[0] for each in text)
    for given, surname in islice(found, _MOST_ADDRESSES):
        first = given.capitalize() if len(given) > 1 else rf"{given.upper()}\w{{1,20}}"
        last = "[ -]".join(part.capitalize() for part in re.split("[_-]", surname))
        last = rf"(?:{last}|(?:Mc|Mac|O['\u2019])?(?i:{re.escape(surname)}))"
        for match in re.finditer(
            rf"(?<![\w@.-]){first}\s(?:{PARTICLE}\s){{0,3}}{last}(?![\w@-]|\.\w)", plain
        ):
            if match[0].split()[-1][0].isupper():
                name = text[slice(*match.span())]
                yield Span("PERSON", *match.span(), 0.8, " ".join(name.split()))
