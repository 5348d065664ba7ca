"""What child processes run: look at a document, and read one of its pages.

The formats' modules import their engines, so they are loaded here only, when they are needed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stages.ocr.extra import required_packages
from stages.ocr.fragment import Recognised
from stages.ocr.media_type import MediaType, detect
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.outputs import Page

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
    file = SourceFile.at(Path(path))
    media_type = detect(Path(path))
    reader = _format(media_type)
    return Source(file, media_type, reader.count_pages(file, settings), reader.engine_of(file))


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
    from stages.ocr.engine import engines_for
    from stages.ocr.orientation import recognise

    engines, pixels = engines_for(settings), page.render(settings.dpi)
    return page.page(recognise(engines, pixels).scaled(page.size[0] / pixels.shape[1]))


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


def _load(source: Source, number: int, settings: PageSettings) -> "Page | Sheet":
    return _format(source.media_type).read_page(source.file, number, settings)


def _format(media_type: MediaType) -> Format:
    with required_packages():
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
            case MediaType.TEXT:
                from stages.ocr import plain_text

                return plain_text
