"""A page that has a picture: what is known of it before anything is recognised."""

from collections.abc import Callable
from dataclasses import dataclass

from stages.ocr.engine import Pixels
from stages.ocr.fragment import Fragment, Recognised, uncovered
from stages.ocr.orientation import as_shown
from stages.ocr.page_source import PageSource
from stages.ocr.page_text import page_of
from stages.outputs import Page


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of a PDF or of an image."""

    number: int
    """From 1."""
    size: tuple[float, float]
    """Width and height in page units, which boxes on the page have too."""
    source: PageSource
    """Where its text is to be taken from."""
    render: Callable[[int], Pixels]
    """Make its picture, at so many dots per inch where it has no pixels of its own.

    Raises PermanentError: the page is broken.
    """
    own: tuple[Fragment, ...] = ()
    """What its text layer says."""
    attachment: str | None = None
    """As in `Page`."""

    @property
    def to_recognise(self) -> bool:
        """Whether text is to be found in its picture."""
        return self.source in ("ocr", "text-layer+ocr")

    def page(self, found: Recognised | None = None) -> Page:
        """Return the page, with what was recognised in its picture; boxes are in page units."""
        if found is None or self.source == "text-layer+ocr":
            # What stands the wrong way up has no place beside a text layer that doesn't.
            readable = found is not None and not found.turns
            beside = uncovered(found.fragments, self.own) if found and readable else []
            found = Recognised([*self.own, *beside], engine=found.engine if found else None)
        page = page_of(self.number, found.fragments, self.size, self.source, found.engine)
        return as_shown(page.model_copy(update={"attachment": self.attachment}), found.turns)
