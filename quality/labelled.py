"""Labelled documents: `[[LABEL|text]]` marks an entity; `precision`, `recall` and `f1` of what was found."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.outputs import Entity

SETS = ("documents", "later_documents", "unseen_documents")
"""Folders of labelled documents, each with a README: which came first, its labels or the rules."""
NAMES = frozenset(["PERSON", "ORG", "LOC"])
_MARK = re.compile(r"\[\[([A-Z_]+)\|([^\]]*)\]\]")

Mention = tuple[str, str, int]
"""Label, text in single spaces, and how often the two have come before."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A document and its entities."""

    name: str
    text: str
    mentions: frozenset[Mention]


def documents(folder: str) -> list[Labelled]:
    """Return the labelled documents of one of `SETS`."""
    paths = sorted((Path(__file__).parent / folder).glob("*.txt"))
    return [parse(path.stem, path.read_text("utf-8")) for path in paths]


def parse(name: str, marked: str) -> Labelled:
    """Take the marks out of a text."""
    text = _MARK.sub(lambda mark: mark[2], marked)
    return Labelled(name, text, frozenset(_numbered(_MARK.findall(marked))))


def found(entities: list[Entity]) -> frozenset[Mention]:
    """Return what a stage found, without the places inside addresses, as those are not marked."""
    addresses = [each for each in entities if each.label == "ADDRESS"]
    return frozenset(
        _numbered(
            (each.label, each.text)
            for each in entities
            if each.label != "LOC" or not any(around.start <= each.start < around.end for around in addresses)
        )
    )


def measures(truth: set[tuple[str, Mention]], given: set[tuple[str, Mention]]) -> dict[str, float]:
    """Return precision, recall and F1 over mentions, each with its document's name.

    Nothing to find and nothing found is perfect.
    """
    hits = len(truth & given)
    return {
        "precision": hits / len(given) if given else 1.0,
        "recall": hits / len(truth) if truth else 1.0,
        "f1": 2 * hits / (len(truth) + len(given)) if truth or given else 1.0,
    }


def _numbered(mentions: Iterable[tuple[str, str]]) -> Iterator[Mention]:
    seen: Counter[tuple[str, str]] = Counter()
    for label, text in mentions:
        key = label, " ".join(text.split())
        yield *key, seen[key]
        seen[key] += 1
