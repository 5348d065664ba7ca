"""Which mentions are of one thing: equal values, a person's shorter names, an organisation's."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from stages.ner.organisation import without_form
from stages.ner.span import Span
from stages.outputs import EntityGroup

_MOST_OF_A_SURNAME = 100
"""Names; more with one surname are not compared, each is a group."""
_SHORTEST_INITIALS = 3


def group(spans: Sequence[Span], text: str) -> list[EntityGroup]:
    """Return the groups by their first mention; each span is in one.

    `L. Whitfield`, `Whitfield` and `Laura Whitfield` are one person where the document names no other
    whom they could be; two whole names that differ are two persons. An organisation is also named
    without its legal form, or by its initials.
    """
    names = [span.normalized or " ".join(text[span.start : span.end].split()) for span in spans]
    of_label: dict[str, list[str]] = defaultdict(list)
    for span, name in zip(spans, names, strict=True):
        of_label[span.label].append(name)
    full = {"PERSON": dict(_persons(of_label["PERSON"])), "ORG": dict(_organisations(of_label["ORG"]))}
    groups: dict[tuple[str, str], EntityGroup] = {}
    for index, (span, name) in enumerate(zip(spans, names, strict=True)):
        whole = full.get(span.label, {}).get(name, name)
        key = span.label, whole.casefold()
        if key not in groups:
            groups[key] = EntityGroup(label=span.label, name=whole, mentions=[])
        groups[key].mentions.append(index)
    return list(groups.values())


def _persons(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name with the fuller one of the same person, or itself."""
    by_surname: dict[str, list[str]] = defaultdict(list)
    by_given_name: dict[str, set[str]] = defaultdict(set)
    for name in dict.fromkeys(names):
        words = name.casefold().split()
        by_surname[words[-1]].append(name)
        if len(words) > 1:
            by_given_name[words[0]].add(name)
    whole: dict[str, str] = {}
    for same in by_surname.values():
        whole.update(_of_one_surname(same))
    for name, own in whole.items():
        called = {whole[other] for other in by_given_name[name.casefold()]} if own == name else set()
        yield name, called.pop() if len(called) == 1 else own


def _of_one_surname(names: Sequence[str]) -> dict[str, str]:
    whole: dict[str, str] = {}
    if len(names) > _MOST_OF_A_SURNAME:
        return {name: name for name in names}
    for name in sorted(names, key=lambda name: (-len(name.split()), -len(name), name.isupper(), name)):
        others = {whole[other] for other in whole if _may_be(name, other)}
        whole[name] = others.pop() if len(others) == 1 else name
    return whole


def _may_be(name: str, fuller: str) -> bool:
    """Return whether the given names of `name` are some of the fuller one's, in order; initials count."""
    rest = iter(fuller.casefold().split()[:-1])
    return all(any(_alike(word, other) for other in rest) for word in name.casefold().split()[:-1])


def _alike(word: str, other: str) -> bool:
    word, other = word.rstrip("."), other.rstrip(".")
    return word == other or (1 in (len(word), len(other)) and word[:1] == other[:1])


def _organisations(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name with the longest one of the same organisation."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        by_stem[without_form(name).casefold().removeprefix("the ")].append(name)
    longest = {stem: max(same, key=lambda name: (len(name), name)) for stem, same in by_stem.items()}
    by_initials: dict[str, set[str]] = defaultdict(set)
    for stem, name in longest.items():
        initials = "".join(word[0] for word in without_form(name).split() if word[0].isupper())
        if len(initials) >= _SHORTEST_INITIALS:
            by_initials[initials.casefold()].add(stem)
    for stem, same in by_stem.items():
        called = by_initials[stem]
        for name in same:
            yield name, longest[next(iter(called)) if len(called) == 1 and name.isupper() else stem]
