"""Organisations named by what they are (`Gemeente Delft`, `Calder Motors`) or by two names: `Hill & Dale`."""

import re
from collections.abc import Iterator

from stages.ner.gazetteer import businesses, given_names, institutions, ordinary_words
from stages.ner.span import Span
from stages.ner.words import CAPITALISED, UPPER, whole_lines

_JOIN = r"(?:de|du|des|del|di|da|della|dei|do|van|der|für|of|for|la|le|les|los|las|el|et|y|e|en|und|and|&)"
_LINKED = r"(?:[dl]['\u2019]|d[ei]ll?['\u2019])"
_PART = rf"(?:{_LINKED})?[{UPPER}][\w'\u2019&-]{{1,40}}+"
_LEADING = re.compile(
    rf"(?<![\w@./-])(?P<noun>[{UPPER}][^\W\d_]{{3,25}}+)(?P<rest>(?:(?:[ ]{_JOIN}){{0,3}}[ ]{_PART}){{1,5}}+)"
)
_WORDS = re.compile(rf"(?<![\w@./-]){_PART}(?:[ ](?:{_PART}|&)){{1,5}}+(?![\w@])")
_PAIR = re.compile(
    rf"(?<![\w@./&-])(?P<first>{CAPITALISED})[ ]&[ ](?P<last>{CAPITALISED})"
    rf"(?:[ ]{CAPITALISED}){{0,2}}+(?![\w@-])"
)
_REGISTER = re.compile(r"[ ,:]*HR[AB]")
# `Health & Safety`: no firm.
_TOPICS = frozenset(
    [
        *(
            "Research",
            "Development",
            "Health",
            "Safety",
            "Sales",
            "Marketing",
            "Parts",
            "Labour",
            "Food",
            "Drinks",
        ),
        *("Questions", "Answers", "Terms", "Conditions", "Postage", "Packing", "Bed", "Breakfast", "Profit"),
        *("Loss", "Trial", "Name", "Time", "Wear", "Tear", "Fees", "Costs"),
    ]
)


def find(text: str) -> Iterator[Span]:
    """Yield organisations; normalised to single spaces."""
    for match in _LEADING.finditer(text):
        if match["noun"] in institutions():
            end = _end(text, match.start("rest"), match.end())
            court = match["noun"] == "Amtsgericht" and _REGISTER.match(text, end)
            if end > match.start("rest") and not court:
                yield _span(text, match.start(), end, 0.72)
    for match in _WORDS.finditer(text):
        yield from _ending(text, match)
    for match in _PAIR.finditer(text):
        names = {match["first"], match["last"]}
        ordinary = names & (_TOPICS | ordinary_words())
        heading = all(name.isupper() for name in names)
        if not (ordinary or heading or names <= given_names()):
            yield _span(text, *match.span(), 0.6)


def _ending(text: str, match: re.Match[str]) -> Iterator[Span]:
    """Yield the name in a run of capitalised words that ends with what a business is."""
    start = match.start()
    words = list(re.finditer(r"\S+", match[0]))
    first = 0
    for index, word in enumerate(words):
        if word[0] in ordinary_words() and word[0] not in businesses():
            first = index + 1
        elif word[0] in businesses() and index - first >= businesses()[word[0]]:
            end = start + word.end()
            end += word[0] == "Co" and text[end : end + 1] == "."
            yield _span(text, start + words[first].start(), end, 0.7)


def _end(text: str, start: int, end: int) -> int:
    """Return where the name ends: before an ordinary word, and on its line."""
    last = start
    for word in re.finditer(r"\S+", text[start:end]):
        if word[0] in ordinary_words() and word[0][0].isupper():
            break
        if word[0][-1].isalnum() and any(each.isupper() for each in word[0]):
            last = start + word.end()
    return last


def _span(text: str, start: int, end: int, score: float) -> Span:
    end = whole_lines(text, start, end)
    return Span("ORG", start, end, score, " ".join(text[start:end].split()))
