"""The stage itself: asks child processes for the pages, one by one, and joins them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from pipeline import Cost, Document, PermanentError, StageContext, stage
from stages.extra import required_packages
from stages.ocr.installed import installed
from stages.ocr.language import TEXTRACT, check_languages
from stages.ocr.page_range import numbers
from stages.ocr.pages import passing_over, read_earlier
from stages.ocr.params import OcrParams
from stages.ocr.reader import Source, finish_page, inspect, look_at_page, read_page
from stages.ocr.settings import PageSettings
from stages.outputs import OcrOutput, Page

MAX_PAGES = 5000
"""Every page is a checkpoint, and all of them together are one output."""
PAGE_BREAK = "\f"
PAGE_TIME = timedelta(minutes=5)
"""For one page, or for a first look at a document; a scanned page takes two or three seconds."""
PAGE_CPU = timedelta(minutes=2)
"""Of processor time, for the same; a page that lies on its side, under two engines, takes ten seconds."""


@stage(name="ocr", version=2, cost=Cost("pages"), engine=installed)
async def ocr(document: Document, context: StageContext, params: OcrParams) -> OcrOutput:
    """Read a PDF, an image, a DOCX, an e-mail, HTML or a plain text: its text with the place of every word.

    Pages are read in child processes, and each is a checkpoint: a page that was read once is not
    read again, however often the stage is interrupted.

    Raises:
        PermanentError: the document is nothing that can be read; the message says what to do.
        PartError: a page cannot be read, and is not to be passed over; `__cause__` says why.
    """
    path, settings = str(await document.path()), params.settings()
    source = await context.run_process(inspect, path, settings, timeout=PAGE_TIME, cpu=PAGE_CPU)
    pages = pages_to_read(params, source)
    read = _by_textract(context, source, settings) if params.engine == "textract" else None

    async def page(number: int) -> Page:
        if number in known:
            return known[number]
        context.used("pages", 1)
        if read is not None:
            return await read(number)
        return await context.run_process(read_page, source, number, settings, timeout=PAGE_TIME, cpu=PAGE_CPU)

    skips = params.on_page_error == "skip"
    known = await read_earlier(context) if skips else {}
    # Twice as many as are read at once: no process waits while pages that were read are being saved.
    read_or_saved = 2 * context.processes
    found = await context.each(
        pages,
        passing_over(context, page) if skips else page,
        Page,
        unit="page",
        concurrency=read_or_saved,
        number=int,
    )
    return _joined(found, source.engine)


def pages_to_read(params: OcrParams, source: Source) -> list[int]:
    """Return the numbers of the pages that a job asks for.

    Raises:
        PermanentError: they are too many, or none.
    """
    pages = numbers(params.pages, source.all_pages)
    if len(pages) > MAX_PAGES:
        raise PermanentError(
            f"the document has {source.all_pages:,} pages and at most {MAX_PAGES:,} are read: "
            "split it, or ask for some `pages`"
        )
    if not pages:
        raise PermanentError(
            f"the document has {source.all_pages:,} pages, and none of pages {params.pages}: ask for others"
        )
    return pages


def _by_textract(
    context: StageContext, source: Source, settings: PageSettings
) -> Callable[[int], Awaitable[Page]]:
    with required_packages("OCR", "textract"):
        from stages.ocr.textract_engine import TextractEngine
    check_languages("textract", settings.languages, TEXTRACT)
    engine = TextractEngine.by_environment()

    async def page(number: int) -> Page:
        look = await context.run_process(
            look_at_page, source, number, settings, timeout=PAGE_TIME, cpu=PAGE_CPU
        )
        if look.page is not None:
            return look.page
        found = await engine.recognise(look.picture, look.size)
        return await context.run_process(
            finish_page, source, number, settings, found, timeout=PAGE_TIME, cpu=PAGE_CPU
        )

    return page


def _joined(pages: list[Page], engine: str) -> OcrOutput:
    placed, start = [], 0
    for page in pages:
        placed.append(page.model_copy(update={"start": start}))
        start += len(page.text) + len(PAGE_BREAK)
    recognisers = sorted({page.engine for page in pages if page.engine is not None})
    return OcrOutput(
        text=PAGE_BREAK.join(page.text for page in placed),
        pages=placed,
        engine=", ".join(recognisers) or engine,
    )
