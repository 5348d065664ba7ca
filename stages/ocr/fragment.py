"""A fragment: a piece of one line of text, as an OCR engine or a PDF gives it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from stages.outputs import Box

_FRAGMENT_GAP = 1.3
"""In character heights: words further apart are in different columns or cells."""


@dataclass(frozen=True, slots=True)
class FragmentWord:
    """One word of a fragment, without spaces."""

    text: str
    box: Box
    """(left, top, right, bottom) in page units, from the page's top left corner."""
    confidence: float | None = None
    """0 to 1; None for text that was not recognised."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A run of words on one baseline; at least one word."""

    words: tuple[FragmentWord, ...]
    box: Box
    angle: float = 0.0
    """Of the baseline, in radians, clockwise on the page (y grows downwards)."""

    @property
    def text(self) -> str:
        """The words, parted by single spaces."""
        return " ".join(word.text for word in self.words)

    def scaled(self, factor: float) -> "Fragment":
        """Return the same in a unit of which one old unit makes `factor`."""
        words = tuple(replace(word, box=_scaled(word.box, factor)) for word in self.words)
        return Fragment(words, _scaled(self.box, factor), self.angle)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was recognised, with boxes on the page as it is to be read."""

    fragments: list[Fragment]
    turns: int = 0
    """Quarter turns, counter-clockwise, that bring the page as it is shown the right way up."""
    engine: str | None = None
    """What recognised it; None for text that was not recognised."""

    def scaled(self, factor: float) -> "Recognised":
        """Return the same in a unit of which one old unit makes `factor`."""
        return replace(self, fragments=[each.scaled(factor) for each in self.fragments])


def _scaled(box: Box, factor: float) -> Box:
    left, top, right, bottom = box
    return left * factor, top * factor, right * factor, bottom * factor


def enclosing(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around at least one box."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def fragments_of(
    words: Iterable[FragmentWord | None], angle: float = 0.0, height: float | None = None
) -> Iterator[Fragment]:
    """Make fragments of words in the order of reading, with None where a line ends.

    Words far apart are in different columns or cells, and so in different fragments.

    Args:
        words: Of one line or several.
        angle: Of their baselines.
        height: Of their lines; without it boxes of words are as high as their line.
    """
    run: list[FragmentWord] = []
    for word in (*words, None):
        if run and (word is None or not _continues(run[-1].box, word.box, height)):
            yield Fragment(tuple(run), enclosing(each.box for each in run), angle)
            run = []
        if word is not None:
            run.append(word)


def _continues(before: Box, after: Box, height: float | None) -> bool:
    """True when the line goes on in the same column or cell."""
    if height is None:
        height = max(min(before[3] - before[1], after[3] - after[1]), 0.1)
    level = abs((before[1] + before[3]) - (after[1] + after[3])) / 2 < 0.5 * height
    return level and -height < after[0] - before[2] < _FRAGMENT_GAP * height


def uncovered(fragments: Iterable[Fragment], by: Iterable[Fragment]) -> list[Fragment]:
    """Return the fragments without the words whose middle lies in a word of the others."""
    covers = [word.box for fragment in by for word in fragment.words]
    kept = []
    for fragment in fragments:
        words = tuple(
            word for word in fragment.words if not any(holds_middle(box, word.box) for box in covers)
        )
        if words:
            kept.append(Fragment(words, enclosing(word.box for word in words), fragment.angle))
    return kept


def holds_middle(outer: Box, inner: Box) -> bool:
    """True when the middle of the inner box lies in the outer one."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]
