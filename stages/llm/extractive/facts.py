"""A document's lines and entities, and looking up a value by the label that stands before it."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from stages.llm.evidence import box_around
from stages.outputs import Box, DocumentField, Entity, NerOutput, OcrOutput, Page

_LINE = re.compile(r"[^\n]+")
# A label stands alone on its line when only this follows it.
_NOTHING = re.compile(r"[\s.:#\-]*")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page; half-open offsets in the page's text."""

    page: Page
    start: int
    end: int

    @property
    def text(self) -> str:
        """Without the white space around it."""
        return self.page.text[self.start : self.end]


class Facts:
    """What the earlier stages found, in the order of the text."""

    def __init__(self, text: OcrOutput, found: NerOutput) -> None:
        self.pages = text.pages
        self.lines = [line for page in text.pages for line in _lines(page)]
        self.entities = sorted(found.entities, key=lambda each: (each.page, each.start, -each.end))
        self._page = {page.number: page for page in text.pages}

    def of(self, *labels: str) -> list[Entity]:
        """Return the entities with one of these labels."""
        return [each for each in self.entities if each.label in labels]

    def on(self, line: Line, *labels: str, after: int = 0) -> list[Entity]:
        """Return the labelled entities that start in a line, `after` that many of its characters."""
        start, end = (line.page.start + line.start + after, line.page.start + line.end)
        first = bisect_left(self._starts, (line.page.number, start))
        last = bisect_left(self._starts, (line.page.number, end))
        return [each for each in self.entities[first:last] if each.label in labels]

    def _on_page(self, number: int) -> list[Entity]:
        first = bisect_left(self._starts, (number, 0))
        return self.entities[first : bisect_left(self._starts, (number + 1, 0))]

    @cached_property
    def _line_starts(self) -> list[tuple[int, int]]:
        return [(each.page.number, each.start) for each in self.lines]

    @cached_property
    def _starts(self) -> list[tuple[int, int]]:
        return [(each.page, each.start) for each in self.entities]

    def stands_alone(self, number: int) -> bool:
        """Tell whether line `number` is a paragraph of its own, as headings are."""
        line = self.lines[number]
        before, after = line.page.text[: line.start], line.page.text[line.end :]
        return not before.rpartition("\n\n")[2].strip() and not after.partition("\n\n")[0].strip()

    def labelled(self, pattern: re.Pattern[str], *labels: str) -> Iterator[Entity]:
        """Yield the entity that belongs to each occurrence of a label such as `Due date`.

        That is the first one after it on its line, else one to its right in the same row of the
        page, else, after a label that ends its line, the first one on the next line.
        """
        for number, line in enumerate(self.lines):
            match = pattern.search(line.text)
            if match is None:
                continue
            found = self.on(line, *labels, after=match.end())
            if not found:
                found = self._right_of(line, match, labels)
            if not found and _NOTHING.fullmatch(line.text, match.end()):
                found = [
                    each for near in self.lines[number + 1 : number + 2] for each in self.on(near, *labels)
                ]
            yield from found[:1]

    def _right_of(self, line: Line, match: re.Match[str], labels: Sequence[str]) -> list[Entity]:
        label = box_around(line.page, line.start + match.start(), line.start + match.end())
        if label is None:
            return []
        row = [
            (each.box[0], each)
            for each in self._on_page(line.page.number)
            if each.label in labels and each.box and _in_row(label, each.box)
        ]
        return [each for _, each in sorted(row, key=lambda pair: pair[0])]

    def line_of(self, entity: Entity) -> Line:
        """Return the line that an entity starts in."""
        offset = entity.start - self._page[entity.page].start
        return self.lines[bisect_right(self._line_starts, (entity.page, offset)) - 1]

    def field(self, name: str, entity: Entity, value: str | None = None) -> DocumentField:
        """Make a field of an entity, quoting its line; its normalised value, unless one is given."""
        line = self.line_of(entity)
        inside = entity.end <= line.page.start + line.end
        return DocumentField(
            name=name,
            value=value or entity.normalized or " ".join(entity.text.split()),
            page=entity.page,
            quote=line.text if inside else entity.text,
            box=entity.box,
        )


def matched(name: str, line: Line, match: re.Match[str], group: int | str = 0) -> DocumentField:
    """Make a field of what a pattern found in a line's text, quoting the line."""
    start, end = match.span(group)
    return DocumentField(
        name=name,
        value=" ".join(match[group].split()),
        page=line.page.number,
        quote=line.text,
        box=box_around(line.page, line.start + start, line.start + end),
    )


def _lines(page: Page) -> Iterator[Line]:
    for match in _LINE.finditer(page.text):
        text = match[0].strip()
        if text:
            start = match.start() + match[0].index(text)
            yield Line(page, start, start + len(text))


def _in_row(label: Box, box: Box) -> bool:
    """Tell whether a box is right of a label, with half its height or more beside it."""
    overlap = min(label[3], box[3]) - max(label[1], box[1])
    return box[0] >= label[2] and overlap >= 0.5 * min(label[3] - label[1], box[3] - box[1])
