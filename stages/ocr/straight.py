"""A picture of a page turned so that its lines run level, and the way back to the page as it was."""

import math
from dataclasses import dataclass, replace

from PIL import Image

from stages.ocr.fragment import Fragment, enclosing
from stages.outputs import Box


@dataclass(frozen=True, slots=True)
class Straight:
    """A picture without its slope."""

    image: Image.Image
    angle: float
    """Of the page's lines before, in radians, clockwise."""
    size: tuple[int, int]
    """Width and height of the picture before."""

    @classmethod
    def of(cls, image: Image.Image, angle: float) -> "Straight":
        """Turn a picture with lines at an angle."""
        if not angle:
            return cls(image, 0.0, image.size)
        turned = image.rotate(math.degrees(angle), Image.Resampling.BICUBIC, expand=True, fillcolor=255)
        return cls(turned, angle, image.size)

    def back(self, fragment: Fragment) -> Fragment:
        """Return a fragment of the turned picture as it is in the picture before."""
        if not self.angle:
            return fragment
        words = tuple(replace(word, box=self._back(word.box)) for word in fragment.words)
        return Fragment(words, self._back(fragment.box), fragment.angle + self.angle)

    def _back(self, box: Box) -> Box:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = self.image.width / 2, self.image.height / 2
        left, top, right, bottom = box[0] - dx, box[1] - dy, box[2] - dx, box[3] - dy
        corners = [(x, y) for x in (left, right) for y in (top, bottom)]
        x0, y0 = self.size[0] / 2, self.size[1] / 2
        points = [(x0 + x * cos - y * sin, y0 + x * sin + y * cos) for x, y in corners]
        return enclosing((x, y, x, y) for x, y in points)
