"""Pages that can't be read: they fail the job, or are marked and passed over, to be read again later."""

from collections.abc import Awaitable, Callable, Mapping

from pipeline import (
    ChildError,
    ChildProcessDied,
    InvalidAnswer,
    PermanentError,
    StageContext,
    TemporaryError,
)
from stages.outputs import OcrOutput, Page

ReadPage = Callable[[int], Awaitable[Page]]

_MAX_ERROR = 500
"""Characters of an error that are kept with the page."""


async def read_earlier(context: StageContext) -> Mapping[int, Page]:
    """Return the pages that need not be read again, by number.

    Those that could be read when the stage ran before and passed over others. None where all were read:
    whoever runs it again then wants all of them anew.
    """
    earlier = await context.previous(OcrOutput)
    if earlier is None or all(page.method != "failed" for page in earlier.pages):
        return {}
    return {page.number: page for page in earlier.pages if page.method != "failed"}


def passing_over(context: StageContext, read: ReadPage) -> ReadPage:
    """Return what reads a page, and marks one that can't be read once no attempt is left for it."""

    async def page(number: int) -> Page:
        try:
            return await read(number)
        except PermanentError as error:
            return _failed(number, error)
        except (TemporaryError, ChildError, ChildProcessDied, InvalidAnswer) as error:
            if context.attempt < context.max_attempts:
                raise
            return _failed(number, error)

    return page


def _failed(number: int, error: Exception) -> Page:
    return Page(number=number, text="", method="failed", error=str(error)[:_MAX_ERROR])
