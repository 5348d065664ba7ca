"""Countries, regions and big cities, from our own list, where no longer name is around them."""

import re
from collections.abc import Iterator

from stages.ner.gazetteer import given_names, ordinary_words, places, places_by_word
from stages.ner.span import Span
from stages.ner.words import UPPER

_FIRST = re.compile(rf"(?<![\w@./'\u2019-])[{UPPER}][\w.-]*[\w.]")
_NEXT = re.compile(r"\s?\n?")
_CAPITALISED_AFTER = re.compile(rf"[ ]([{UPPER}][^\W\d_]*[^\W\d_{UPPER}])(?![\w@])")
_WORD_BEFORE = re.compile(rf"([{UPPER}][^\W\d_]+)[ ]\Z")


def find(text: str) -> Iterator[Span]:
    """Yield places; a name that goes on with other capitalised words (`Berlin Packaging`) is none."""
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
