"""The normalised value of a mention that a model found."""

from stages.ner import rules
from stages.ner.hints import Hints

_NAMES = frozenset(["PERSON", "ORG", "LOC"])


def normalize(label: str, text: str, hints: Hints) -> str | None:
    """Return what the rules make of the mention's own words, names in single spaces; None where nothing."""
    if label in _NAMES:
        return " ".join(text.split())
    for span in rules.find(text, hints):
        if span.label == label:
            return span.normalized
    return None
