"""What is masked, and by what."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from stages.outputs import EntityGroup, NerOutput


@dataclass(frozen=True, slots=True)
class Secret:
    """One thing that is masked wherever it is mentioned."""

    placeholder: str
    label: str
    name: str
    """Its fullest name."""
    mentions: tuple[int, ...]
    """Positions in the list of entities."""
    texts: frozenset[str]
    """How it is written, in single spaces."""


def secrets(found: NerOutput, labels: frozenset[str], text: str) -> list[Secret]:
    """Return what has one of the labels, each with a placeholder that is not in the text.

    Numbers count by label, in the order of the first mentions.
    """
    made: list[Secret] = []
    last: Counter[str] = Counter()
    for group in _groups(found):
        if group.label not in labels:
            continue
        placeholder = ""
        while not placeholder or placeholder[1:-1] in text:
            last[group.label] += 1
            placeholder = f"[{group.label}_{last[group.label]}]"
        texts = frozenset(" ".join(found.entities[index].text.split()) for index in group.mentions)
        made.append(Secret(placeholder, group.label, group.name, tuple(group.mentions), texts))
    return made


def _groups(found: NerOutput) -> Iterator[EntityGroup]:
    """Yield the groups, and entities that are in none each by itself."""
    yield from found.groups
    grouped = {index for group in found.groups for index in group.mentions}
    for index, entity in enumerate(found.entities):
        if index not in grouped:
            name = entity.normalized or " ".join(entity.text.split())
            yield EntityGroup(label=entity.label, name=name, mentions=[index])
