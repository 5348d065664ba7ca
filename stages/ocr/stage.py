"""The stage itself: asks child processes for the pages, one by one, and joins them."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from pipeline import Document, PermanentError, StageContext, stage
from stages.ocr.extra import recogniser_name
from stages.ocr.reader import inspect, read_page
from stages.ocr.settings import PageSettings
from stages.outputs import OcrOutput, Page

MAX_PAGES = 5000
"""Every page is a checkpoint, and all of them together are one output."""
PAGE_BREAK = "\f"
PAGE_TIME = timedelta(minutes=5)
"""For one page, or for a first look at a document; a scanned page takes two or three seconds."""
_RECOGNISED = frozenset(("ocr", "text-layer+ocr"))


class OcrParams(BaseModel, extra="forbid"):
    """How a document is to be read."""

    dpi: Annotated[int, Field(ge=72, le=400)] = 200
    """Pixels per inch at which PDF pages are rendered for recognition. More costs time and seldom
    helps: letters of 8 points are legible at 200."""
    force_ocr: bool = False
    """Recognise PDF pages even where they have a good text layer, or that of an earlier OCR."""
    first_pages: Annotated[int, Field(ge=1, le=MAX_PAGES)] | None = None
    """Read only so many pages from the front; all of them when not given."""


@stage(name="ocr", version=1)
async def ocr(document: Document, context: StageContext, params: OcrParams) -> OcrOutput:
    """Read a PDF, an image, a DOCX or a plain text: its text with the place of every word.

    Pages are read in child processes, and each is a checkpoint: a page that was read once is not
    read again, however often the stage is interrupted.

    Raises:
        PermanentError: the document is nothing that can be read; the message says what to do.
        PartError: a page cannot be read; `__cause__` says why.
    """
    path = str(await document.path())
    source = await context.run_process(inspect, path, timeout=PAGE_TIME)
    pages = min(source.pages, params.first_pages or source.pages)
    if pages > MAX_PAGES:
        raise PermanentError(
            f"the document has {pages:,} pages and at most {MAX_PAGES:,} are read: "
            "split it, or ask for `first_pages`"
        )
    settings = PageSettings(params.dpi, params.force_ocr)

    async def read(number: int) -> Page:
        return await context.run_process(read_page, source, number, settings, timeout=PAGE_TIME)

    # Twice as many as are read at once: no process waits while pages that were read are being saved.
    read_or_saved = 2 * context.processes
    found = await context.each(range(1, pages + 1), read, Page, unit="page", concurrency=read_or_saved)
    return _joined(found, source.engine)


def _joined(pages: list[Page], engine: str) -> OcrOutput:
    placed, start = [], 0
    for page in pages:
        placed.append(page.model_copy(update={"start": start}))
        start += len(page.text) + len(PAGE_BREAK)
    return OcrOutput(
        text=PAGE_BREAK.join(page.text for page in placed),
        pages=placed,
        engine=recogniser_name() if any(page.method in _RECOGNISED for page in placed) else engine,
    )
