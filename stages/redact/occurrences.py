"""Where secrets stand in a text: as entities, and wherever else their words are."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stages.outputs import Entity, Page
from stages.redact.secrets import Secret

_TOKEN = re.compile(r"[^\W_]+")
_SHORTEST_NAME = 3
"""Characters: `Al` or `Bo` alone may be anything."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A stretch of the whole text that gives way; on one page, as all of them."""

    start: int
    end: int
    placeholder: str


def occurrences(
    text: str, pages: Sequence[Page], entities: Sequence[Entity], secrets: Sequence[Secret]
) -> list[Occurrence]:
    """Return what is masked, in order, of which no two overlap; of those that do the outer one stays.

    A person's surname or given name alone counts where no entity that stays is around it: `Kranz & Sons`
    is an organisation still, though Mr Kranz is masked.
    """
    masked = [
        Occurrence(entities[index].start, entities[index].end, secret.placeholder)
        for secret in secrets
        for index in secret.mentions
    ]
    hidden = {index for secret in secrets for index in secret.mentions}
    staying = [each for index, each in enumerate(entities) if index not in hidden]
    outside = [False] * (len(text) + 1)
    for each in staying:
        outside[each.start : each.end] = [True] * (each.end - each.start)
    again = (
        found
        for found, is_part in _again(text, secrets)
        if not (is_part and any(outside[found.start : found.end]))
    )
    cut = _on_pages(_outermost([*masked, *again]), pages)
    return [each for each in cut if text[each.start : each.end].strip()]


def _again(text: str, secrets: Sequence[Secret]) -> Iterator[tuple[Occurrence, bool]]:
    """Yield further places of the secrets' words; True for one word of a person's name."""
    whole = _whole(secrets)
    parts = dict(_parts(secrets))
    for token in _TOKEN.finditer(text):
        for pattern, placeholder in whole.get(token[0].casefold(), ()):
            match = pattern.match(text, token.start())
            if match is not None:
                yield Occurrence(match.start(), match.end(), placeholder), False
        if token[0] in parts:
            yield Occurrence(token.start(), token.end(), parts[token[0]]), True


def _whole(secrets: Sequence[Secret]) -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """Return what matches a secret as it is written somewhere, in any capitals, by its first token."""
    whole: dict[str, list[tuple[re.Pattern[str], str]]] = defaultdict(list)
    for secret in secrets:
        for written in sorted({*secret.texts, secret.name}, key=len, reverse=True):
            tokens = list(_TOKEN.finditer(written))
            if not tokens or (secret.label == "PERSON" and len(tokens) == 1):
                continue
            words = written[tokens[0].start() :].split()
            pattern = re.compile(r"\s+".join(map(re.escape, words)) + r"(?!\w)", re.IGNORECASE)
            whole[tokens[0][0].casefold()].append((pattern, secret.placeholder))
    return whole


def _parts(secrets: Sequence[Secret]) -> Iterator[tuple[str, str]]:
    """Yield each word of the persons' names, as it is and in capitals; of namesakes the last one's."""
    for secret in secrets:
        if secret.label == "PERSON":
            for word in _TOKEN.findall(secret.name):
                if len(word) >= _SHORTEST_NAME and word[0].isupper():
                    yield word, secret.placeholder
                    yield word.upper(), secret.placeholder


def _outermost(found: Sequence[Occurrence]) -> list[Occurrence]:
    kept: list[Occurrence] = []
    for each in sorted(found, key=lambda each: (each.start, -each.end)):
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
        elif each.end > kept[-1].end:
            # Two that cross: what sticks out is masked too.
            kept.append(Occurrence(kept[-1].end, each.end, each.placeholder))
    return kept


def _on_pages(found: Sequence[Occurrence], pages: Sequence[Page]) -> list[Occurrence]:
    """Cut what goes over the start or the end of a page; white space between pages stays."""
    bounds = sorted({bound for page in pages for bound in (page.start, page.start + len(page.text))})
    cut: list[tuple[int, int, str]] = []
    for each in found:
        inside = bounds[bisect_right(bounds, each.start) : bisect_left(bounds, each.end)]
        for start, end in pairwise([each.start, *inside, each.end]):
            cut.append((start, end, each.placeholder))
    return [Occurrence(*each) for each in cut]
