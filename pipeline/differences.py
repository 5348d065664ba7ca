"""What is other between two JSON values: by paths, with what was there and what is.

Written here, as libraries for it either compare lists by position alone, or tell patches without what was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, unified_diff
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel

from pipeline.store.outputs import canonical

LONGEST_VALUE = 500
"""Characters of a text that are told; of a longer one its lines that differ."""
MOST_LINES = 100
"""Of a text's lines that differ."""
LONGEST_LIST = 2_000
"""Elements up to which it is found out which of them moved; longer lists are compared by position."""


class Difference(BaseModel):
    """One place at which two values differ."""

    path: str
    """A JSON pointer, in the value before, or in that after where something was added."""
    kind: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None
    lines: list[str] | None = None
    """Of long texts, instead of both: their lines that differ, as a unified diff."""


@dataclass(slots=True)
class Differences:
    """Some of them, and how many more there are."""

    found: list[Difference] = field(default_factory=list)
    more: int = 0


def differences(before: Any, after: Any, *, limit: int) -> Differences:
    """Return at most `limit` differences of two JSON values, in their order, and count the others."""
    walk = _compare("", before, after)
    found = list(islice(walk, limit))
    return Differences(found, sum(1 for _ in walk))


def _compare(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield Difference(path=place, kind="removed", before=_shown(before[name]))
            elif name not in before:
                yield Difference(path=place, kind="added", after=_shown(after[name]))
            else:
                yield from _compare(place, before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(path, before, after)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield _changed(path, before, after)


def _compare_lists(path: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Difference]:
    for kind, start, end, new_start, new_end in _blocks(before, after):
        if kind == "equal":
            continue
        both = min(end - start, new_end - new_start)
        for offset in range(both):
            place = f"{path}/{start + offset}"
            yield from _compare(place, before[start + offset], after[new_start + offset])
        for position in range(start + both, end):
            yield Difference(path=f"{path}/{position}", kind="removed", before=_shown(before[position]))
        for position in range(new_start + both, new_end):
            yield Difference(path=f"{path}/{position}", kind="added", after=_shown(after[position]))


def _blocks(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[str, int, int, int, int]]:
    """Align two lists; very long ones only at their positions."""
    if max(len(before), len(after)) > LONGEST_LIST:
        return [("replace", 0, len(before), 0, len(after))]
    old, new = _keys(before), _keys(after)
    return [*SequenceMatcher(None, old, new, autojunk=False).get_opcodes()]


def _keys(values: Sequence[Any]) -> list[bytes]:
    return [canonical({"": each}) for each in values]


def _changed(path: str, before: Any, after: Any) -> Difference:
    both = isinstance(before, str) and isinstance(after, str)
    if not both or max(len(before), len(after)) <= LONGEST_VALUE:
        return Difference(path=path, kind="changed", before=_shown(before), after=_shown(after))
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    told = [line[:LONGEST_VALUE] for line in islice(lines, 2, 2 + MOST_LINES)]  # after its two headings
    return Difference(path=path, kind="changed", lines=told)


def _shown(value: Any) -> Any:
    """Shorten texts, and what holds many things."""
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return f"{value[:LONGEST_VALUE]}…"
    if isinstance(value, Mapping | list) and len(canonical({"": value})) > 10 * LONGEST_VALUE:
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    return value
