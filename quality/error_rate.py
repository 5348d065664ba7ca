"""How far recognised text is from what a page says."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

_QUOTES = str.maketrans("\u201c\u201d\u2018\u2019\u2013\u2014", "\"\"''--")


def error_rates(text: str, truth: str) -> dict[str, float]:
    """Return `cer` and `wer`: insertions, deletions and replacements over the length of the truth.

    White space and kinds of quotes and dashes do not count.
    """
    found, wanted = _words(text), _words(truth)
    return {"cer": _rate(" ".join(found), " ".join(wanted)), "wer": _rate(found, wanted)}


def _words(text: str) -> list[str]:
    return text.translate(_QUOTES).split()


def _rate(found: Sequence[str], wanted: Sequence[str]) -> float:
    return Levenshtein.distance(found, wanted) / len(wanted)
