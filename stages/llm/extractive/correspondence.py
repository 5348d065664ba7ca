"""The key fields of letters and reports."""

import re
from collections.abc import Iterator

from stages.llm.extractive.facts import Facts, Line, matched
from stages.outputs import DocumentField, Entity

_CLOSING = re.compile(
    r"^(?:yours (?:sincerely|faithfully|truly)|(?:kind |best |warm )?regards|sincerely|mit freundlichen)",
    re.I,
)
_SALUTATION = re.compile(r"^(?:dear|sehr geehrte[rs]?)\s+(?P<who>[^,:]{2,80})", re.I)
_SUBJECT = re.compile(r"^(?:re|subject|betreff|regarding)\s*[:.]\s*(?P<what>\S.*)", re.I)
_REFERENCE = re.compile(r"\b(?:our ref|ref(?:erence)?|document(?: no)?|letter no|no)\b[.:]?", re.I)
_AUTHOR = re.compile(
    r"^(?:author|prepared by|written by|minutes(?: taken)?(?: by)?$|minutes(?: taken)? by|from)\b\s*:?", re.I
)
_CHAIR = re.compile(r"^(?:in the )?chair(?:ed by|man|woman|person)?\b\s*:?", re.I)
_NEXT = re.compile(r"\bnext meeting\b", re.I)
_DATED = re.compile(r"^(?:date|datum|held on)\b", re.I)
_BELOW = re.compile(r"[A-ZÀ-Ý].{3,90}[^.,;:!?]")
# Above the salutation stand addresses and dates, too: no numbers there.
_ABOVE = re.compile(r"(?!(?:To|For|By|From|Date)\b)[A-ZÀ-Ý](?:[^\d,]|,(?! \d)){3,90}[^.,;:!?\d]")
# Further down stands who is written to.
_LETTERHEAD_LINES = 4
# A subject stands within so many lines of the salutation.
_SUBJECT_LINES = 4
# A signature's name stands within so many lines of the closing words.
_SIGNATURE_LINES = 4


def letter(facts: Facts) -> Iterator[DocumentField]:
    """Yield a letter's fields as far as they are found."""
    yield from _sender(facts)
    yield from _head(facts)
    for line in facts.lines:
        if match := _SALUTATION.match(line.text):
            yield matched("recipient", line, match, "who")
            break
    yield from subject(facts)


def report(facts: Facts) -> Iterator[DocumentField]:
    """Yield the fields of a report or of minutes as far as they are found."""
    for name, pattern, label in (
        ("author", _AUTHOR, "PERSON"),
        ("chair", _CHAIR, "PERSON"),
        ("next_meeting", _NEXT, "DATE"),
    ):
        for found in [*_marked(facts, pattern, label), *facts.labelled(pattern, label)][:1]:
            yield facts.field(name, found)
    yield from _head(facts)
    yield from subject(facts)


def _marked(facts: Facts, pattern: re.Pattern[str], label: str) -> Iterator[Entity]:
    """Yield who has a role in brackets after the name, as in `Jo Blake, Quality (chair)`."""
    for line in facts.lines:
        brackets = re.search(r"\(([^()]*)\)$", line.text)
        if brackets and pattern.match(brackets[1]):
            yield from facts.on(line, label)[:1]


def subject(facts: Facts) -> Iterator[DocumentField]:
    """Yield the subject that a line is labelled with, else the heading closest to the salutation.

    It stands after the salutation in British letters, before it in most others.
    """
    for line in facts.lines:
        if match := _SUBJECT.match(line.text):
            yield matched("subject", line, match, "what")
            return
    for number, line in enumerate(facts.lines):
        if _SALUTATION.match(line.text):
            above = range(number - 1, max(number - 1 - _SUBJECT_LINES, -1), -1)
            for at, pattern in [(number + 1, _BELOW), *((each, _ABOVE) for each in above)]:
                match = pattern.fullmatch(facts.lines[at].text) if at < len(facts.lines) else None
                if match and facts.stands_alone(at):
                    yield matched("subject", facts.lines[at], match)
                    return
            return


def _head(facts: Facts) -> Iterator[DocumentField]:
    """Yield the letterhead's organisation, date and reference: a labelled one, else the first."""
    letterhead = [each for line in facts.lines[:_LETTERHEAD_LINES] for each in facts.on(line, "ORG")]
    for organisation in letterhead[:1]:
        yield facts.field("organization", organisation)
    dates = [*facts.labelled(_DATED, "DATE"), *facts.of("DATE")]
    for date in dates[:1]:
        yield facts.field("date", date)
    references = [*facts.labelled(_REFERENCE, "REFERENCE"), *facts.of("REFERENCE")]
    for reference in references[:1]:
        yield facts.field("reference", reference)


def _sender(facts: Facts) -> Iterator[DocumentField]:
    """Yield who signed: the line, for the title before the name, that a person is named in."""
    for number, line in enumerate(facts.lines):
        if _CLOSING.match(line.text):
            for near in facts.lines[number : number + 1 + _SIGNATURE_LINES]:
                if facts.on(near, "PERSON"):
                    yield _signature(near)
                    return
    for person in [*facts.labelled(_AUTHOR, "PERSON"), *facts.of("PERSON")][:1]:
        yield facts.field("sender", person)


def _signature(line: Line) -> DocumentField:
    name = re.compile(r"[^,]*").match(line.text)
    assert name is not None  # noqa: S101 -- it matches the empty text as well
    return matched("sender", line, name)
