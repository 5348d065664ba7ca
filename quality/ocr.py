"""The OCR part: error rates of the example documents' pages, as they are and degraded."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline import run_stage
from quality.degraded import degraded
from quality.error_rate import error_rates
from quality.score import Floor, Score
from stages.ocr import OcrParams, ocr
from stages.outputs import OcrOutput

_EXAMPLES = Path(__file__).parent.parent / "examples"
_PAGES = (("invoice.pdf", 1), ("contract.pdf", 1), ("letter.tiff", 1))
"""Files of the examples, and the page of each that is read."""
_CLEAN, _DEGRADED = Floor("cer", 0.01, "at most"), Floor("cer", 0.04, "at most")


@dataclass(frozen=True, slots=True)
class Sample:
    """A page with what it says."""

    name: str
    path: Path
    page: int
    text: str
    floor: Floor


async def measure() -> list[Score]:
    """Return the error rates of every sample."""
    with TemporaryDirectory(prefix="millrace-quality-") as folder:
        return [await _score(sample) for sample in _samples(Path(folder))]


def _samples(folder: Path) -> Iterator[Sample]:
    truth: dict[str, Any] = json.loads((_EXAMPLES / "truth.json").read_text("utf-8"))
    for file, page in _PAGES:
        text = truth[file]["pages"][page - 1]["text"]
        yield Sample(f"{file} {page}", _EXAMPLES / file, page, text, _CLEAN)
        worse = folder / f"{file}.jpg"
        worse.write_bytes(degraded(_EXAMPLES / file, page))
        yield Sample(f"{file} {page}, degraded", worse, 1, text, _DEGRADED)


async def _score(sample: Sample) -> Score:
    params = OcrParams(pages=str(sample.page), force_ocr=True)
    output = await run_stage(ocr, sample.path, params=params)
    if not isinstance(output, OcrOutput):
        raise TypeError("the OCR stage gives an OcrOutput")
    rates = error_rates(output.pages[-1].text, sample.text)
    return Score(sample.name, output.engine, rates, sample.floor)
