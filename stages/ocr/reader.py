"""What child processes run: look at a document, and read one of its pages.

The formats' modules import their engines, so they are loaded here only, when they are needed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stages.ocr.extra import required_packages
from stages.ocr.media_type import MediaType, detect
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.outputs import Page


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

    def count_pages(self, file: SourceFile, /) -> int:
        """Return how many pages the document has; cheap."""
        ...

    def read_page(self, file: SourceFile, number: int, settings: PageSettings, /) -> Page:
        """Read a page, numbered from 1."""
        ...

    def engine_of(self, file: SourceFile, /) -> str:
        """Return the name of what reads the document."""
        ...


def inspect(path: str) -> Source:
    """Find out what a document is and how many pages it has.

    Raises:
        PermanentError: it is empty, broken, encrypted, too large or of no type that is read.
    """
    file = SourceFile.at(Path(path))
    media_type = detect(Path(path))
    reader = _format(media_type)
    return Source(file, media_type, reader.count_pages(file), reader.engine_of(file))


def read_page(source: Source, number: int, settings: PageSettings) -> Page:
    """Read a page, numbered from 1.

    Raises:
        PermanentError: the page cannot be read; the message says why and what to do.
    """
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
