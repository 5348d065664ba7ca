"""The `probablepeople` engine: persons among capitalised words, by its conditional random fields."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from stages.extra import required_packages
from stages.ner.gazetteer import ordinary_words, places, streets
from stages.ner.names import INITIAL, PARTICLE, TITLE, is_label
from stages.ner.span import Span
from stages.ner.words import CAPITALISED, GAP, whole_lines, words

_RUN = re.compile(
    rf"(?<![\w@./-])(?:{CAPITALISED}|{INITIAL})"
    rf"(?:{GAP}(?:{INITIAL}|{CAPITALISED}|{PARTICLE})){{1,4}}"
)
_PERSON, _SURNAME = frozenset(["GivenName", "FirstInitial", "MiddleName", "MiddleInitial"]), "Surname"
_SCORE = 0.6


class People:
    """The engine. The trained models are inside the package, which takes some 260 MB of memory."""

    def __init__(self) -> None:
        self.name = f"probablepeople {version('probablepeople')}" if _package() else ""

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the persons in each text whose name has a given name and a surname, not in capitals."""
        return [list(_spans(text)) for text in texts]


@cache
def _package() -> Any:
    with required_packages("NER", "probablepeople"):
        import probablepeople

    return probablepeople


def _spans(text: str) -> Iterator[Span]:
    for run in _RUN.finditer(text):
        start, end = run.span()
        while start < end:
            line = whole_lines(text, start, end)
            for first, last in _stretches(text, start, line):
                name = text[first:last]
                if not name.isupper() and _is_person(name):
                    yield Span("PERSON", first, last, _SCORE, " ".join(name.split()))
            start = line + 1


def _stretches(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a run between words that are in no name."""
    kept: list[tuple[int, int]] = []
    for place in [*words(text, start, end), (end, end)]:
        word = text[slice(*place)]
        name = not (word in ordinary_words() or word in streets() or word in places())
        if word and name and not TITLE.fullmatch(word) and not is_label(text, start, *place):
            kept.append(place)
            continue
        while kept and not text[kept[-1][0]].isupper():
            kept.pop()
        if len(kept) > 1:
            yield kept[0][0], kept[-1][1]
        kept = []


def _is_person(name: str) -> bool:
    tags = [tag for _, tag in _package().parse(" ".join(name.split()))]
    return tags[-1] == _SURNAME and bool(_PERSON & set(tags)) and set(tags) <= _PERSON | {_SURNAME}
