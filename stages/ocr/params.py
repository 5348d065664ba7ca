"""What a job can ask of the stage."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from stages.ocr import language, page_range
from stages.ocr.settings import EngineName, PageSettings

Language = Annotated[str, Field(pattern=language.PATTERN, max_length=20)]


class OcrParams(BaseModel, extra="forbid", hide_input_in_errors=True):
    """How a document is to be read."""

    engine: EngineName = "rapidocr"
    """What recognises pages. `rapidocr` is best on bad scans, `tesseract` five times as fast and reads
    more scripts, `auto` takes RapidOCR where it reads the languages, else Tesseract; `textract` sends
    page images to Amazon, and has to be asked for by name."""
    languages: Annotated[tuple[Language, ...], Field(max_length=8)] = ()
    """ISO 639 codes such as `de`, or names of Tesseract's data. RapidOCR reads all of its languages
    (Latin script, Chinese, Japanese) at once and refuses others; Tesseract reads English when none is
    given; Textract finds the language out itself."""
    dpi: Annotated[int, Field(ge=72, le=400)] = 200
    """Pixels per inch at which PDF pages are rendered for recognition. More costs time and seldom
    helps: letters of 8 points are legible at 200."""
    force_ocr: bool = False
    """Recognise PDF pages even where they have a good text layer, or that of an earlier OCR."""
    pages: Annotated[str, Field(max_length=200), AfterValidator(page_range.check)] | None = None
    """Read these pages only, such as `1-3,7,12-`; all of them when not given. Numbers beyond the last
    page are passed over."""
    password: Annotated[SecretStr, Field(max_length=127)] | None = None
    """Of an encrypted PDF. It is kept with the job, encrypted, for as long as that is."""

    on_page_error: Literal["fail", "skip"] = "fail"
    """What a page does that can't be read after all attempts: it fails the job, or is marked as failed
    and passed over. When the stage is run again, only pages that are marked are read again."""

    def settings(self) -> PageSettings:
        """Return what child processes need to know."""
        password = self.password.get_secret_value() if self.password else None
        return PageSettings(self.dpi, self.force_ocr, self.engine, self.languages, password)
