"""Prose that runs through columns and pages."""

from collections.abc import Iterator
from typing import NamedTuple

from examples.draw.sheet import Cell, Font, Sheet, length, wrap

LEAST_FILLED = 0.78
"""A line that fills less than this share of its frame is left ragged: spread, it would gape."""


class Frame(NamedTuple):
    """A column to fill from the top; points."""

    x: float
    top: float
    """Upper edge of the first line."""
    bottom: float
    """No baseline is below it."""
    width: float


class Flow:
    """Sets paragraphs into frames, one frame after the other.

    The frames' iterator turns the page and draws what stands around the frames when it is asked
    for the next one.
    """

    def __init__(self, sheet: Sheet, frames: Iterator[Frame]) -> None:
        self.sheet = sheet
        self._frames = frames
        self.frame = next(frames)
        self.y = self.frame.top
        """Upper edge of the line that comes next."""

    def paragraph(
        self, text: str, font: Font, *, label: str = "", indent: float = 0, hang: float = 0
    ) -> None:
        """Set a justified paragraph; a label stands in the `hang` points left of its first line.

        Neither its first line nor its last stands alone in a frame.
        """
        room = self.frame.width - indent - hang
        lines = wrap(text, font, room)
        for index, line in enumerate(lines):
            self.need(self._together(index, len(lines)) * font.leading)
            left = self.frame.x + indent
            mark = Cell(left, label) if label and index == 0 else None
            ragged = index == len(lines) - 1 or length(line, font) < LEAST_FILLED * room
            width = length(line, font) if ragged else room
            self.sheet.justified(left + hang, self._baseline(font), width, font, line, mark)
            self.y -= font.leading
        self.sheet.gap()

    def heading(self, text: str, font: Font, *, keep: float, center: bool = False) -> None:
        """Set a heading that has at least `keep` points of text below it in its frame."""
        lines = wrap(text, font, self.frame.width)
        self.need(len(lines) * font.leading + keep)
        for line in lines:
            x = self.frame.x + (self.frame.width / 2 if center else 0)
            self.sheet.row(self._baseline(font), font, Cell(x, line, "center" if center else "left"))
            self.y -= font.leading
        self.sheet.gap()

    def space(self, points: float) -> None:
        """Leave room, unless the frame has just begun."""
        if self.y < self.frame.top:
            self.y -= points

    def need(self, points: float) -> None:
        """Go on in the next frame if this one has less room than that."""
        if self.y - points < self.frame.bottom:
            self.next_frame()

    def next_frame(self) -> None:
        """Go on at the top of the next frame."""
        self.frame = next(self._frames)
        self.y = self.frame.top

    def _baseline(self, font: Font) -> float:
        return self.y - font.size

    @staticmethod
    def _together(index: int, lines: int) -> int:
        """Return how many lines, from this one on, must not be parted."""
        if index == 0:
            return lines if lines <= 3 else 2
        return 2 if index == lines - 2 else 1
