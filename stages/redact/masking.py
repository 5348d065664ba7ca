"""Rewrites a document: placeholders in its text, its pages' words and blocks, its entities and groups."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from stages.outputs import (
    Block,
    Box,
    Entity,
    EntityGroup,
    Mask,
    MaskedMention,
    NerOutput,
    OcrOutput,
    Page,
    RedactedOutput,
    Word,
)
from stages.redact.occurrences import Occurrence, occurrences
from stages.redact.secrets import Secret, secrets


def mask(text: OcrOutput, found: NerOutput, labels: frozenset[str], keep_originals: bool) -> RedactedOutput:
    """Return the document with a placeholder for all that has one of the labels. Runs in a child process."""
    hidden = secrets(found, labels, text.text)
    masked = occurrences(text.text, text.pages, found.entities, hidden)
    moved = _Moved(text.text, masked)
    pages = [_page(page, moved) for page in text.pages]
    entities, positions = _entities(found.entities, hidden, moved)
    return RedactedOutput(
        text=moved.text,
        pages=pages,
        engine=text.engine,
        entities=entities,
        groups=list(_groups(found.groups, hidden, positions)),
        masks=[
            Mask(placeholder=each.placeholder, label=each.label, name=each.name if keep_originals else None)
            for each in hidden
        ],
        mentions=_mentions(text, masked, moved, keep_originals),
    )


class _Moved:
    """The text with placeholders, and where the offsets of the old one are in it."""

    def __init__(self, text: str, masked: Sequence[Occurrence]) -> None:
        self.masked = masked
        self._ends = [each.end for each in masked]
        self._starts: list[int] = []
        parts: list[str] = []
        length = last = 0
        for each in masked:
            parts += [text[last : each.start], each.placeholder]
            length += each.start - last
            self._starts.append(length)
            length += len(each.placeholder)
            last = each.end
        self.text = "".join([*parts, text[last:]])

    def start(self, number: int) -> int:
        """Return where the n-th placeholder starts."""
        return self._starts[number]

    def at(self, offset: int) -> int:
        """Return where an old offset is now; inside of what was masked: the start of its placeholder."""
        number = bisect_right(self._ends, offset)
        if number < len(self.masked) and self.masked[number].start < offset:
            return self._starts[number]
        if number == 0:
            return offset
        before = self.masked[number - 1]
        return self._starts[number - 1] + len(before.placeholder) + offset - before.end

    def end(self, offset: int) -> int:
        """Return the same for an end, which goes behind the placeholder that it is in."""
        number = bisect_left(self._ends, offset)
        if number < len(self.masked) and self.masked[number].start < offset:
            return self._starts[number] + len(self.masked[number].placeholder)
        return self.at(offset)

    def overlapping(self, start: int, end: int) -> range:
        """Return which of the masked stretches share a character with this one."""
        first = bisect_right(self._ends, start)
        last = first
        while last < len(self.masked) and self.masked[last].start < end:
            last += 1
        return range(first, last)


def _page(page: Page, moved: _Moved) -> Page:
    start = moved.at(page.start)
    end = moved.end(page.start + len(page.text)) if page.text else start
    blocks = [
        Block(
            start=moved.at(page.start + each.start) - start,
            end=moved.end(page.start + each.end) - start,
            box=each.box,
        )
        for each in page.blocks
    ]
    return page.model_copy(
        update={
            "text": moved.text[start:end],
            "start": start,
            "words": list(_words(page, moved, start)),
            "blocks": blocks,
        }
    )


def _words(page: Page, moved: _Moved, start: int) -> Iterable[Word]:
    """Yield the page's words; those that one placeholder stands for as one, with a box around them."""
    joined: list[Word] = []
    last = -1
    for word in sorted(page.words, key=lambda word: word.start):
        hidden = moved.overlapping(page.start + word.start, page.start + word.end)
        if joined and hidden and hidden[0] <= last:
            joined[-1] = _joined(joined[-1], word)
        else:
            joined.append(word)
        last = hidden[-1] if hidden else -1
    for word in joined:
        first, end = moved.at(page.start + word.start), moved.end(page.start + word.end)
        place = {"text": moved.text[first:end], "start": first - start, "end": end - start}
        yield word.model_copy(update=place)


def _joined(word: Word, other: Word) -> Word:
    confidences = [each.confidence for each in (word, other) if each.confidence is not None]
    return word.model_copy(
        update={
            "end": max(word.end, other.end),
            "box": _around(word.box, other.box),
            "confidence": min(confidences, default=None),
        }
    )


def _around(box: Box, other: Box) -> Box:
    return min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3])


def _entities(
    entities: Sequence[Entity], hidden: Sequence[Secret], moved: _Moved
) -> tuple[list[Entity], dict[int, int]]:
    """Return the entities as they are now, without what is inside a mask; and new positions by the old."""
    placeholders = {index: secret.placeholder for secret in hidden for index in secret.mentions}
    kept: list[Entity] = []
    positions: dict[int, int] = {}
    for index, entity in enumerate(entities):
        placeholder = placeholders.get(index)
        if placeholder is None and moved.overlapping(entity.start, entity.end):
            continue
        start, end = moved.at(entity.start), moved.end(entity.end)
        update = {"start": start, "end": end, "text": moved.text[start:end]}
        if placeholder is not None:
            if placeholder not in moved.text[start:end]:
                continue
            update |= {"normalized": placeholder}
        positions[index] = len(kept)
        kept.append(entity.model_copy(update=update))
    return kept, positions


def _groups(
    groups: Iterable[EntityGroup], hidden: Sequence[Secret], positions: dict[int, int]
) -> Iterable[EntityGroup]:
    names = {index: secret.placeholder for secret in hidden for index in secret.mentions}
    for group in groups:
        mentions = [positions[index] for index in group.mentions if index in positions]
        if mentions:
            yield EntityGroup(
                label=group.label, name=names.get(group.mentions[0], group.name), mentions=mentions
            )


def _mentions(
    text: OcrOutput, masked: Sequence[Occurrence], moved: _Moved, keep_originals: bool
) -> list[MaskedMention]:
    pages = sorted(text.pages, key=lambda page: page.start)
    starts = [page.start for page in pages]
    words = [sorted(page.words, key=lambda word: word.start) for page in pages]
    made: list[MaskedMention] = []
    for number, each in enumerate(masked):
        index = max(0, bisect_right(starts, each.start) - 1)
        page = pages[index]
        first = bisect_right(words[index], each.start - page.start, key=lambda word: word.end)
        last = bisect_left(words[index], each.end - page.start, key=lambda word: word.start)
        made.append(
            MaskedMention(
                placeholder=each.placeholder,
                start=moved.start(number),
                page=page.number,
                boxes=[word.box for word in words[index][first:last]],
                text=text.text[each.start : each.end] if keep_originals else None,
            )
        )
    return made
