"""Reads DOCX: headers, body and footers as one page without boxes, tables row by row."""

import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import docx
from docx.document import Document
from docx.opc.exceptions import OpcError
from docx.table import Table
from lxml.etree import LxmlError

from pipeline import PermanentError
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.outputs import Page

MAX_UNPACKED = 200_000_000
"""Bytes: more inside the archive is a decompression bomb, or a picture book."""
_BROKEN = (OpcError, LxmlError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, RuntimeError)
"""What python-docx and what it stands on raise on files that are broken or, the last one, encrypted."""


def count_pages(_file: SourceFile, _settings: PageSettings) -> int:
    """Return 1: only a word processor knows where pages end."""
    return 1


def engine_of(_file: SourceFile) -> str:
    """Return `docx`."""
    return "docx"


def read_page(file: SourceFile, number: int, _settings: PageSettings) -> Page:
    """Return the document's text; paragraphs are parted by empty lines, cells by tabs.

    Raises:
        PermanentError: the file is broken, or too large when unpacked.
    """
    _check_unpacked_size(file)
    try:
        with file.open() as content:
            document = docx.Document(content)
        text = "\n\n".join(part for part in _parts(document) if part)
    except _BROKEN as error:
        raise PermanentError(
            f"the DOCX is broken ({error}): open it in a word processor and save it again"
        ) from error
    return Page(number=number, text=text, method="text" if text else "empty")


def _check_unpacked_size(file: SourceFile) -> None:
    with file.open() as content, zipfile.ZipFile(content) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED:
        raise PermanentError(
            f"the DOCX unpacks to {unpacked:,} bytes: remove pictures until it has at most {MAX_UNPACKED:,}"
        )


def _parts(document: Document) -> Iterator[str]:
    for section in document.sections:
        if not section.header.is_linked_to_previous:
            yield from _blocks(section.header.iter_inner_content())
    yield from _blocks(document.iter_inner_content())
    for section in document.sections:
        if not section.footer.is_linked_to_previous:
            yield from _blocks(section.footer.iter_inner_content())


def _blocks(content: Iterator[Any]) -> Iterator[str]:
    for block in content:
        yield _rows(block) if isinstance(block, Table) else block.text.strip()


def _rows(table: Table) -> str:
    return "\n".join("\t".join(_cells(row)) for row in table.rows).strip()


def _cells(row: Any) -> Iterator[str]:
    """Give each cell once: python-docx repeats a merged cell for every column that it spans."""
    before = None
    for cell in row.cells:
        if cell._tc is not before:
            yield " ".join(cell.text.split())
        before = cell._tc
