"""Countries, regions and big cities, from our own list, and towns by the words beside them."""

import re
from collections.abc import Iterator

from stages.ner.gazetteer import given_names, ordinary_words, places, places_by_word
from stages.ner.span import Span
from stages.ner.words import CAPITALISED, UPPER

_FIRST = re.compile(rf"(?<![\w@./'\u2019-])[{UPPER}][\w.-]*[\w.]")
_NEXT = re.compile(r"\s?\n?")
_CAPITALISED_AFTER = re.compile(rf"[ ]([{UPPER}][^\W\d_]*[^\W\d_{UPPER}])(?![\w@])")
_WORD_BEFORE = re.compile(rf"([{UPPER}][^\W\d_]+)[ ]\Z")


_TOWN = rf"(?P<town>{CAPITALISED}(?:[ ](?:{CAPITALISED}|am|an|der|sur|on|upon|de|del|la|le|den)){{0,3}})"
_YEAR = r"(?:19|20)\d\d(?!\d)"
_NAMED_DAY = r"\d{1,2}(?:st|nd|rd|th|er|e|[.°º])?[ ]?(?:(?:de|of)[ ])?[^\W\d_]{3,10}\.?,?[ ](?:del?[ ])?"
_DAY = (
    rf"(?:{_NAMED_DAY}{_YEAR}|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}"
    rf"|[^\W\d_]{{3,10}}[ ]\d{{1,2}},[ ]{_YEAR}|{_YEAR}-\d\d)"
)
# The line of a letter's place and date, and that of a report.
_DATED = re.compile(
    rf"^[ ]{{0,80}}(?:(?:En|A|Te|Fait à|Done at|Held (?:in|at))[ ])?{_TOWN}(?P<comma>,)?[ ]"
    rf"(?P<link>(?:den|le|lì|il|a|am|el|on)[ ])?(?={_DAY})",
    re.MULTILINE,
)
_AFTER_DATE = re.compile(rf"^[ ]{{0,80}}{_DAY}(?:-\d\d)?,[ ](?P<town>{CAPITALISED})[ ]?$", re.MULTILINE)
_BESIDE = re.compile(
    r"(?<!\w)(?:(?:born|based|lives?|lived|living|reside[sd]?|office|branch|plant|held|arrived|travelled|flew|moved|"
    r"drove|depot)[ ](?:in|at|to|from|near)|in[ ]and[ ]around|"
    r"(?:née?|demeurant|domiciliée?|située?|lieu|habite|gare)[ ](?:à|de)|"
    r"(?:wohnhaft|geboren|ansässig|(?:mit|der)[ ]Sitz)[ ]in|"
    r"(?:nacid[oa]|vecin[oa]|domicilio|residente|sede|situad[oa])[ ](?:en|de|in)|nat[oa][ ]a|residente[ ]a|"
    r"(?:wonende|gevestigd|geboren|kantoor|kantoorhoudende)[ ](?:te|in)|te|"
    r"(?:[Ll]ieu|[Oo]rt|[Pp]lace|[Ll]uogo|[Ll]ugar|[Pp]laats|[Vv]enue|[Ll]ocation)[ ]?:)[ ]"
    rf"(?P<town>{CAPITALISED})(?![ ][{UPPER}]|[\w@])"
)


def find(text: str) -> Iterator[Span]:
    """Yield places; a name that goes on with other capitalised words (`Berlin Packaging`) is none."""
    yield from _listed(text)
    for match in _DATED.finditer(text):
        one = " " not in match["town"]
        if match["comma"] and (one or match["link"] or match["town"] in places()):
            yield from _town(match, 0.8)
    for match in _AFTER_DATE.finditer(text):
        yield from _town(match, 0.7)
    for match in _BESIDE.finditer(text):
        yield from _town(match, 0.7)


def _town(match: re.Match[str], score: float) -> Iterator[Span]:
    first = match["town"].split()[0]
    if first not in ordinary_words() and first not in given_names():
        yield Span("LOC", *match.span("town"), score, " ".join(match["town"].split()))


def _listed(text: str) -> Iterator[Span]:
    for first in _FIRST.finditer(text):
        for word in {first[0], first[0].rstrip(".-")}:
            for phrase in places_by_word().get(word, ()):
                end = _end(text, first.start(), phrase)
                if end is not None and not _part_of_a_name(text, first.start(), end):
                    yield Span("LOC", first.start(), end, 0.8, " ".join(phrase))
                    break


def _end(text: str, start: int, phrase: tuple[str, ...]) -> int | None:
    """Return where the phrase that starts here ends; None when another one does."""
    for number, word in enumerate(phrase):
        if number:
            gap = _NEXT.match(text, start)
            start = gap.end() if gap and gap[0] else start
        if not text.startswith(word, start):
            return None
        start += len(word)
    return None if text[start : start + 1].isalnum() or text[start : start + 1] == "-" else start


def _part_of_a_name(text: str, start: int, end: int) -> bool:
    after = _CAPITALISED_AFTER.match(text, end)
    if after and after[1] not in ordinary_words() and after[1] not in places():
        return True
    before = _WORD_BEFORE.search(text, max(0, start - 30), start)
    return before is not None and before[1] in given_names()
