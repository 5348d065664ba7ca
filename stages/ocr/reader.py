"""What child processes run: look at a document, and read one of its pages.

The formats' modules import their engines, so they are loaded here only, when they are needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline import PermanentError
from stages.extra import required_packages
from stages.ocr.fragment import Recognised
from stages.ocr.media_type import MediaType, detect, is_taken
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.outputs import Box, Page

if TYPE_CHECKING:
    from stages.ocr.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Source:
    """A document as it was found."""

    file: SourceFile
    media_type: MediaType
    pages: int
    engine: str
    """What reads it where nothing needs to be recognised."""
    name: str | None = None
    """Of an attachment."""
    attachments: tuple["Source", ...] = ()
    """Those of a message that can be read; their pages follow it."""

    @property
    def all_pages(self) -> int:
        """Its pages with those of its attachments."""
        return self.pages + sum(each.all_pages for each in self.attachments)

    def place(self, number: int) -> tuple["Source", int]:
        """Return the document that a page belongs to, and its number there."""
        if number <= self.pages:
            return self, number
        number -= self.pages
        for each in self.attachments:
            if number <= each.all_pages:
                return each.place(number)
            number -= each.all_pages
        raise ValueError("the document has not so many pages")


class Format(Protocol):
    """What the module of a format gives. Every function raises PermanentError with what to do."""

    def count_pages(self, file: SourceFile, settings: PageSettings, /) -> int:
        """Return how many pages the document has; cheap."""
        ...

    def read_page(self, file: SourceFile, number: int, settings: PageSettings, /) -> "Page | Sheet":
        """Read a page, numbered from 1; what has a picture is not recognised yet."""
        ...

    def engine_of(self, file: SourceFile, /) -> str:
        """Return the name of what reads the document."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """A page that was looked at: it is read, or there is a picture to recognise."""

    page: Page | None = None
    picture: bytes = b""
    """JPEG."""
    size: tuple[float, float] = (0, 0)
    """Of the page, in its own units."""


def inspect(path: str, settings: PageSettings) -> Source:
    """Find out what a document is and how many pages it has.

    Raises:
        PermanentError: it is empty, broken, encrypted, too large or of no type that is read.
    """
    return _inspect(SourceFile.at(Path(path)), settings)


def _inspect(file: SourceFile, settings: PageSettings, name: str | None = None) -> Source:
    with file.open() as content:
        media_type = detect(content)
    reader = _format(media_type)
    attachments = _attachments(file, settings) if media_type is MediaType.MESSAGE else ()
    try:
        pages = reader.count_pages(file, settings)
    except PermanentError:
        if name is None:
            raise
        pages = 1  # which can't be read, and says why
    return Source(file, media_type, pages, reader.engine_of(file), name, attachments)


def _attachments(message: SourceFile, settings: PageSettings) -> tuple[Source, ...]:
    """Return those of a type that is read; in messages inside messages to a depth of 3."""
    from stages.ocr.message import attachment_names

    found = []
    for index, name in enumerate(attachment_names(message.read()) if len(message.attachments) < 3 else ()):
        file = message.attachment(index)
        with file.open() as content:
            if is_taken(content):
                found.append(_inspect(file, settings, name))
    return tuple(found)


def read_page(source: Source, number: int, settings: PageSettings) -> Page:
    """Read a page, numbered from 1.

    Raises:
        PermanentError: the page cannot be read; the message says why and what to do.
    """
    page = _load(source, number, settings)
    if isinstance(page, Page):
        return page
    if not page.to_recognise:
        return page.page()
    from stages.ocr.engine import engine_for
    from stages.ocr.orientation import recognise

    engine, pixels = engine_for(settings), page.render(settings.dpi)
    return page.page(recognise(engine, pixels).scaled(page.size[0] / pixels.shape[1]))


def look_at_page(source: Source, number: int, settings: PageSettings) -> Look:
    """Read a page if nothing is to be recognised on it, else make its picture for `finish_page`.

    Raises:
        PermanentError: the page cannot be read; the message says why and what to do.
    """
    page = _load(source, number, settings)
    if isinstance(page, Page):
        return Look(page)
    if not page.to_recognise:
        return Look(page.page())
    from stages.ocr.picture import jpeg

    return Look(picture=jpeg(page.render(settings.dpi)), size=page.size)


def finish_page(source: Source, number: int, settings: PageSettings, found: Recognised) -> Page:
    """Return a page with what was recognised in its picture, in page units.

    Raises:
        PermanentError: the page cannot be read.
    """
    page = _load(source, number, settings)
    if isinstance(page, Page):
        raise TypeError("nothing is to be recognised on a page without a picture")
    return page.page(found)


def draw_page(path: str, number: int, settings: PageSettings, black: Sequence[Box] = ()) -> bytes:
    """Return the picture of a page as it is shown, as a PNG, painted over in the boxes of `black`.

    Raises:
        PermanentError: the document can't be read, has not so many pages, or this one has no picture.
    """
    source = inspect(path, settings)
    if not 1 <= number <= source.all_pages:
        raise PermanentError(f"the document has {source.all_pages:,} pages, and no page {number:,}")
    page = _load(source, number, settings)
    if isinstance(page, Page):
        raise PermanentError(f"page {number} is plain text and has no picture: its text is in the output")
    from stages.ocr.picture import painted_over, png

    pixels = page.render(settings.dpi)
    return png(painted_over(pixels, black, pixels.shape[1] / page.size[0]))


def _load(source: Source, number: int, settings: PageSettings) -> "Page | Sheet":
    document, own_number = source.place(number)
    page = _format(document.media_type).read_page(document.file, own_number, settings)
    if isinstance(page, Page):
        return page.model_copy(update={"number": number, "attachment": document.name})
    return replace(page, number=number, attachment=document.name)


def _format(media_type: MediaType) -> Format:
    with required_packages("OCR"):
        match media_type:
            case MediaType.PDF:
                from stages.ocr import pdf

                return pdf
            case MediaType.IMAGE:
                from stages.ocr import image

                return image
            case MediaType.DOCX:
                from stages.ocr import word_document

                return word_document
            case MediaType.MESSAGE:
                from stages.ocr import message

                return message
            case MediaType.HTML:
                from stages.ocr import web_page

                return web_page
            case MediaType.TEXT:
                from stages.ocr import plain_text

                return plain_text
