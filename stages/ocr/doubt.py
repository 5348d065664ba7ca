"""Which recognised words are text, and which of two readings of a place is kept."""

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from stages.ocr.fragment import FragmentWord, enclosing, holds_middle
from stages.ocr.text_line import TextLine
from stages.outputs import Box

_SURE = 0.6
"""Words of which the engine is less sure are doubtful: they are read once more, alone."""
_MIN_SCORE = 0.3
"""Doubtful words below that are stains and rulings, unless they stand beside sure ones."""


def sure_lines(lines: Iterable[TextLine]) -> list[TextLine]:
    """Return lines without their doubtful words, and without those that have no others."""
    kept = (replace(line, words=[word for word in line.words if _is_sure(word)]) for line in lines)
    return [line for line in kept if line.words]


def take_if_better(lines: list[TextLine], again: list[TextLine], box: Box) -> None:
    """Put what was read alone in a box in the place of doubtful words there, if its confidence is higher.

    Args:
        lines: Of the page; they are changed.
        again: What was read alone.
        box: Where.
    """
    found = [word for line in again for word in line.words]
    rivals = [word for line in lines for word in line.words if _is_rival(word, box)]
    if not found or (rivals and _mean(found) <= _mean(rivals)):
        return
    if not rivals and sum(len(word.text) for word in found) == 1 and _beside(lines, box) is not None:
        return  # a piece of a letter of which the word's box has only the rest
    for line in lines:
        line.words = [word for word in line.words if not _is_rival(word, box)]
    for line in again:
        home = _beside(lines, enclosing(word.box for word in line.words))
        if home is None:
            lines.append(line)
        else:
            home.words += line.words


def without_stains(lines: list[TextLine]) -> list[TextLine]:
    """Return lines with their sure words and those doubtful ones that are text."""
    sure = sure_lines(lines)
    kept = (replace(line, words=[word for word in line.words if _is_text(word, sure)]) for line in lines)
    return [line for line in kept if line.words]


def _is_text(word: FragmentWord, sure: list[TextLine]) -> bool:
    if _is_sure(word):
        return True
    letters = sum(map(str.isalnum, word.text))
    if _score(word) >= _MIN_SCORE:
        return letters > 0
    return letters > 1 and _beside(sure, word.box) is not None


def _beside(lines: list[TextLine], box: Box) -> TextLine | None:
    return next((line for line in lines if line.is_beside(box)), None)


def _is_rival(word: FragmentWord, box: Box) -> bool:
    return not _is_sure(word) and holds_middle(box, word.box)


def _is_sure(word: FragmentWord) -> bool:
    return _score(word) >= _SURE


def _score(word: FragmentWord) -> float:
    return word.confidence or 0.0


def _mean(words: list[FragmentWord]) -> float:
    return fmean(map(_score, words))
