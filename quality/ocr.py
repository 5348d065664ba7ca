"""The OCR part: error rates of pages by engine, as they are and degraded.

Every page of the example documents, and one in columns. Every engine that is installed reads all of them,
and the floors are the same for each. Degraded pages are still read by people without effort:
skewed by a degree and a half, soft, grainy and a third darker in places, as `degraded` makes them.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from quality.columns import newsletter
from quality.degraded import degraded
from quality.error_rate import error_rates
from quality.score import Floor, Score
from stages.ocr import OcrParams
from stages.ocr.reader import inspect, read_page
from stages.ocr.settings import EngineName

_EXAMPLES = Path(__file__).parent.parent / "examples"
_FILES = ("invoice.pdf", "contract.pdf", "letter.tiff")
"""The examples of which every page is read."""
_CLEAN, _DEGRADED, _COLUMNS = (Floor("cer", limit, "at most") for limit in (0.01, 0.04, 0.05))


@dataclass(frozen=True, slots=True)
class Sample:
    """A page with what it says."""

    name: str
    path: Path
    page: int
    text: str
    floor: Floor


async def measure() -> AsyncIterator[Score]:
    """Yield the error rates of every sample by every engine that is installed."""
    engines: tuple[EngineName, ...] = ("rapidocr",)
    if find_spec("tesserocr") is not None:
        engines = ("rapidocr", "tesseract")
    with TemporaryDirectory(prefix="millrace-quality-") as folder:
        samples = list(_samples(Path(folder)))
        for engine in engines:
            for sample in samples:
                yield _score(sample, engine)


def _samples(folder: Path) -> Iterator[Sample]:
    truth: dict[str, Any] = json.loads((_EXAMPLES / "truth.json").read_text("utf-8"))
    for file in _FILES:
        for number, page in enumerate(truth[file]["pages"], start=1):
            clean = Sample(f"{file} {number}", _EXAMPLES / file, number, page["text"], _CLEAN)
            yield from _both(folder, clean)
    # A photo is degraded as it comes.
    receipt = truth["receipt.jpg"]["pages"][0]["text"]
    yield Sample("receipt.jpg, a photo", _EXAMPLES / "receipt.jpg", 1, receipt, _DEGRADED)
    content, text = newsletter()
    columns = folder / "columns.pdf"
    columns.write_bytes(content)
    yield from _both(folder, Sample("three columns", columns, 1, text, _COLUMNS))


def _both(folder: Path, clean: Sample) -> Iterator[Sample]:
    yield clean
    worse = folder / f"{clean.path.name}-{clean.page}.jpg"
    worse.write_bytes(degraded(clean.path, clean.page))
    floor = _COLUMNS if clean.floor is _COLUMNS else _DEGRADED
    yield Sample(f"{clean.name}, degraded", worse, 1, clean.text, floor)


def _score(sample: Sample, engine: EngineName) -> Score:
    settings = OcrParams(engine=engine, force_ocr=True).settings()
    page = read_page(inspect(str(sample.path), settings), sample.page, settings)
    rates = error_rates(page.text, sample.text)
    return Score(sample.name, engine, rates, sample.floor, f"confidence {page.confidence}")
