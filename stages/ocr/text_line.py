"""A line of text as Tesseract gives it: words with boxes right around their ink, on a baseline."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

from stages.ocr.fragment import Fragment, FragmentWord, enclosing, fragments_of
from stages.outputs import Box

_BESIDE = 1.3
"""In line heights: words nearer than that to each other are in one column or cell."""
_ADDRESS_GAP = 0.5
"""In line heights: the widest gap that is seen around the sign in an address."""
_ADDRESS = re.compile(r"\W*[\w.+-]+@([\w-]+\.)+[A-Za-z]{2,}\W*")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where letters without descenders stand."""

    x: float
    y: float
    slope: float
    """Pixels down for each to the right."""

    def at(self, x: float) -> float:
        """Return its y at an x."""
        return self.y + (x - self.x) * self.slope


@dataclass(slots=True)
class TextLine:
    """A line under construction; boxes are in pixels."""

    words: list[FragmentWord]
    height: float
    """From the top of capitals to the bottom of descenders, whether the line has any or not."""
    below: float
    """What of it is below the baseline."""
    baseline: Baseline | None
    """None for a line that runs downwards."""

    def is_beside(self, box: Box) -> bool:
        """True when a box stands on this line and near to a word of it."""
        if self.baseline is None:
            return False
        middle = self._bottom(box) - self.height / 2
        level = abs((box[1] + box[3]) / 2 - middle) < self.height / 2
        return level and any(
            max(box[0] - word.box[2], word.box[0] - box[2]) < _BESIDE * self.height for word in self.words
        )

    def fragments(self) -> Iterator[Fragment]:
        """Give its fragments, from the left; each is as high as the line, the words are as they are."""
        if self.baseline is None:
            yield from fragments_of(self.words)
            return
        words = sorted(self.words, key=lambda word: word.box[0])
        for fragment in fragments_of(words, math.atan(self.baseline.slope), self.height):
            left, _, right, _ = fragment.box
            bottom = self._bottom(fragment.box)
            yield replace(
                fragment, box=enclosing([fragment.box, (left, bottom - self.height, right, bottom)])
            )

    def _bottom(self, box: Box) -> float:
        if self.baseline is None:
            raise AssertionError("asked of lines with a baseline only")
        return self.baseline.at((box[0] + box[2]) / 2) + self.below


def whole_addresses(words: list[FragmentWord], height: float) -> list[FragmentWord]:
    """Return the words of a line, e-mail addresses in one again that were taken apart around their `@`."""
    whole: list[FragmentWord] = []
    while words:
        count = next((count for count in (3, 2) if _is_address(words[:count], count, height)), 1)
        parts, words = words[:count], words[count:]
        text, box = "".join(word.text for word in parts), enclosing(word.box for word in parts)
        whole.append(FragmentWord(text, box, fmean(word.confidence or 0.0 for word in parts)))
    return whole


def _is_address(parts: list[FragmentWord], count: int, height: float) -> bool:
    return (
        len(parts) == count
        and _ADDRESS.fullmatch("".join(word.text for word in parts)) is not None
        and all(
            (before.text.endswith("@") or after.text.startswith("@"))
            and after.box[0] - before.box[2] < _ADDRESS_GAP * height
            for before, after in pairwise(parts)
        )
    )
