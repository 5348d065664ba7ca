"""Reads plain text. Form feeds part its pages; there are no boxes."""

from functools import lru_cache

from pipeline import PermanentError
from stages.ocr.settings import PageSettings
from stages.ocr.source_file import SourceFile
from stages.outputs import Page

MAX_BYTES = 10_000_000
_GUESS = "cp1252"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def count_pages(file: SourceFile, _settings: PageSettings) -> int:
    """Return the number of parts between form feeds.

    Raises:
        PermanentError: the file is too long, or not text.
    """
    return len(_pages(file))


def read_page(file: SourceFile, number: int, _settings: PageSettings) -> Page:
    """Return a part between form feeds, its line ends made line feeds."""
    text = _pages(file)[number - 1]
    return Page(number=number, text=text, method="text" if text else "empty")


def engine_of(file: SourceFile) -> str:
    """Return `text`, or `text (cp1252)` where the encoding was guessed.

    A byte order mark decides; without one it is UTF-8 where that can be decoded, else Windows-1252,
    the superset of Latin-1 that is found in practice.
    """
    encoding = _decoded(file)[1]
    return f"text ({encoding})" if encoding == _GUESS else "text"


@lru_cache(maxsize=1)
def _decoded(file: SourceFile) -> tuple[str, str]:
    if file.size > MAX_BYTES:
        raise PermanentError(
            f"the text has {file.size:,} bytes: split it into documents of at most {MAX_BYTES:,}"
        )
    content = file.read()
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", _GUESS):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise PermanentError(
        "the document looks like text but is neither UTF-8, UTF-16 with a byte order mark nor "
        "Windows-1252: save it as UTF-8"
    )


def _pages(file: SourceFile) -> list[str]:
    text = _decoded(file)[0].replace("\r\n", "\n").replace("\r", "\n")
    # Printers' files end every page with a form feed, which starts no further page.
    return [page.strip("\n") if page.strip() else "" for page in text.removesuffix("\f").split("\f")]
