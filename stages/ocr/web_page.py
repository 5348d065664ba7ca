"""Reads HTML: what a browser would show, as one page without boxes; rows of tables stay rows."""

import re
from collections.abc import Iterator
from typing import Any

import lxml.html
from lxml.etree import LxmlError

from pipeline import PermanentError
from stages.ocr.plain_text import MAX_BYTES
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.outputs import Page

_CHARSET = re.compile(rb"""charset\s*=\s*["']?([\w.:-]+)""", re.I)
_PROLOG = re.compile(r"\A\s*<\?xml[^>]*>")
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_HEAD = 4096
"""Bytes in which a page says how it is encoded."""
_NOT_SHOWN = frozenset(("head", "script", "style", "template", "noscript", "svg", "math", "object", "iframe"))
_PARAGRAPHS = frozenset(
    (
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"),
        *("section", "article", "header", "footer", "main", "nav", "aside", "address", "figure", "form"),
    )
)
_LINES = frozenset(("div", "li", "dt", "dd", "tr", "caption", "figcaption", "option", "fieldset", "legend"))
_SPACES = re.compile(r"[ \t\r\n\f]+")
_LINE, _PARAGRAPH, _SPACE = "\x1e", "\x1d", "\x1c"
"""Where a line and a paragraph end, however often it is said, and a space that stays where it is."""
_MARKED = str.maketrans("", "", _LINE + _PARAGRAPH + _SPACE)
_ENDS = re.compile(f"[ \n{_LINE}{_PARAGRAPH}]*[{_LINE}{_PARAGRAPH}][ \n{_LINE}{_PARAGRAPH}]*")


def count_pages(file: SourceFile, _settings: PageSettings) -> int:
    """Return 1.

    Raises:
        PermanentError: the file is too long.
    """
    if file.size > MAX_BYTES and not file.attachments:
        raise PermanentError(
            f"the HTML has {file.size:,} bytes: split it into documents of at most {MAX_BYTES:,}"
        )
    return 1


def engine_of(_file: SourceFile) -> str:
    """Return `html`."""
    return "html"


def read_page(file: SourceFile, number: int, _settings: PageSettings) -> Page:
    """Return the shown text; paragraphs are parted by empty lines, cells by tabs.

    Raises:
        PermanentError: nothing can be made of the file.
    """
    text = text_of(_decoded(file.read()))
    return Page(number=number, text=text, method="text" if text else "empty")


def text_of(html: str) -> str:
    """Return the text that a browser would show.

    Raises:
        PermanentError: elements are nested too deeply.
    """
    try:
        if not html.strip():
            return ""
        root = lxml.html.document_fromstring(_PROLOG.sub("", html))
        return _laid_out(_pieces(root))
    except (LxmlError, ValueError, RecursionError) as error:
        raise PermanentError(f"the HTML is broken ({error}): print the page to a PDF") from error


def _decoded(content: bytes) -> str:
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    said = _CHARSET.search(content[:_HEAD])
    for encoding in (marked, said and said[1].decode("ascii", "replace"), "utf-8"):
        try:
            if encoding:
                return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return content.decode("cp1252", errors="replace")


def _pieces(element: Any, *, verbatim: bool = False) -> Iterator[str]:
    """Give words, and line and paragraph ends, in the order of the page."""
    if not isinstance(element.tag, str) or element.tag in _NOT_SHOWN or _is_hidden(element):
        return
    tag = element.tag
    if tag == "br":
        yield "\n"
        return
    end = _PARAGRAPH if tag in _PARAGRAPHS else _LINE if tag in _LINES else ""
    yield end
    if tag == "tr":
        yield _row(element)
    else:
        verbatim = verbatim or tag in ("pre", "textarea")
        yield _text(element.text, verbatim)
        for child in element:
            yield from _pieces(child, verbatim=verbatim)
            yield _text(child.tail, verbatim)
    yield end


def _is_hidden(element: Any) -> bool:
    style = (element.get("style") or "").replace(" ", "").lower()
    return element.get("hidden") is not None or "display:none" in style or "visibility:hidden" in style


def _row(row: Any) -> str:
    """Return a row's cells parted by tabs; by empty lines where the table only places things on the page."""
    cells = [_laid_out(_pieces(cell)) for cell in row if cell.tag in ("td", "th")]
    layout = any("\n\n" in cell or "\t" in cell for cell in cells)
    if layout:
        return _PARAGRAPH.join(cell.replace("\n\n", _PARAGRAPH) for cell in cells if cell)
    return "\t".join(cell.replace("\n", " ") for cell in cells).rstrip("\t")


def _text(text: str | None, verbatim: bool) -> str:
    plain = (text or "").translate(_MARKED)
    return plain.replace(" ", _SPACE) if verbatim else _SPACES.sub(" ", plain)


def _laid_out(pieces: Iterator[str]) -> str:
    """Join pieces: no spaces around the ends of lines, no more than one empty line."""
    text = _ENDS.sub(lambda ends: "\n\n" if _PARAGRAPH in ends[0] else "\n", "".join(pieces))
    text = re.sub(" *\n *", "\n", re.sub("  +", " ", text))
    return re.sub("\n{3,}", "\n\n", text).strip("\n ").replace(_SPACE, " ")
