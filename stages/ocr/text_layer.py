"""A PDF page's own text: fragments with boxes in points, and the counts that tell whether it is good."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium

from pipeline import PermanentError
from stages.ocr.fragment import Fragment, FragmentWord, enclosing, fragments_of
from stages.ocr.glyphs import LINE_END, Glyph, read_glyphs

MAX_CHARACTERS = 400_000
"""No page that people read has more."""
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
        fragments=tuple(fragments_of(_words(glyphs))),
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
