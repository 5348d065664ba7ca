"""A PDF page's own text: fragments with boxes in points, and the counts that tell whether it is good."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium

from pipeline import PermanentError
from stages.ocr.fragment import Fragment, FragmentWord, enclosing
from stages.ocr.glyphs import LINE_END, Glyph, read_glyphs
from stages.outputs import Box

MAX_CHARACTERS = 400_000
"""No page that people read has more."""
_FRAGMENT_GAP = 1.3
"""In character heights: words further apart are in different columns or cells."""
_BAD_CATEGORIES = frozenset(("Cc", "Cn", "Co", "Cs"))
"""Control, unassigned, private use and surrogate: glyph numbers passed off as text."""


@dataclass(frozen=True, slots=True)
class TextLayer:
    """What a page's own text is and how it came out; counts are of characters that are no spaces."""

    fragments: tuple[Fragment, ...] = ()
    visible: int = 0
    invisible: int = 0
    bad: int = 0
    """Replacement characters, private use, controls and the like."""
    unmapped: int = 0
    """Characters whose font doesn't say which they are."""

    @property
    def characters(self) -> int:
        """In all."""
        return self.visible + self.invisible

    @property
    def text(self) -> str:
        """The fragments in the order of the file, parted by spaces."""
        return " ".join(fragment.text for fragment in self.fragments)


def read_text_layer(page: pdfium.PdfPage, *, with_invisible: bool) -> TextLayer:
    """Read the text that lies on the page.

    Args:
        page: The page.
        with_invisible: Whether to read text that is not painted, too.

    Raises:
        PermanentError: it has more than `MAX_CHARACTERS`.
    """
    textpage = page.get_textpage()
    count = textpage.count_chars()
    if count > MAX_CHARACTERS:
        raise PermanentError(
            f"it has {count:,} characters: split it into pages of at most {MAX_CHARACTERS:,}"
        )
    glyphs = [glyph for glyph in read_glyphs(page, textpage) if glyph.visible or with_invisible]
    inked = [glyph for glyph in glyphs if not glyph.text.isspace()]
    visible = sum(glyph.visible for glyph in inked)
    return TextLayer(
        fragments=tuple(_fragments(_words(glyphs))),
        visible=visible,
        invisible=len(inked) - visible,
        bad=sum(_is_bad(glyph.text) for glyph in inked),
        unmapped=sum(not glyph.mapped for glyph in inked),
    )


def _is_bad(character: str) -> bool:
    # Latin text read with its bytes swapped has nothing but characters of whole multiples of 256.
    swapped = ord(character) > 0xFF and ord(character) % 0x100 == 0
    return swapped or character == "\ufffd" or unicodedata.category(character) in _BAD_CATEGORIES


def _words(glyphs: Iterable[Glyph]) -> Iterator[FragmentWord | None]:
    """Give the words, and None where a line ends."""
    run: list[Glyph] = []
    for glyph in (*glyphs, LINE_END):
        if not glyph.text.isspace():
            run.append(glyph)
            continue
        if run:
            yield FragmentWord("".join(each.text for each in run), enclosing(each.box for each in run))
            run = []
        if glyph.text == "\n":
            yield None


def _fragments(words: Iterable[FragmentWord | None]) -> Iterator[Fragment]:
    run: list[FragmentWord] = []
    for word in words:
        if run and (word is None or not _continues(run[-1].box, word.box)):
            yield Fragment(tuple(run), enclosing(each.box for each in run))
            run = []
        if word is not None:
            run.append(word)


def _continues(before: Box, after: Box) -> bool:
    """True when the line goes on in the same column or cell."""
    height = max(min(before[3] - before[1], after[3] - after[1]), 0.1)
    level = abs((before[1] + before[3]) - (after[1] + after[3])) / 2 < 0.5 * height
    return level and -height < after[0] - before[2] < _FRAGMENT_GAP * height
