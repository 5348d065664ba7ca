"""The stage as a whole: quality on the examples, pages as checkpoints, joined text."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError
from rapidfuzz.distance import Levenshtein

from pipeline import ChildProcessDied, PermanentError, Progress, StageContext, run_stage
from pipeline.errors import PartError
from pipeline.trial import MemoryServices
from stages.ocr import OcrParams, ocr
from stages.ocr.pages import passing_over
from stages.ocr.reader import inspect, read_page
from stages.ocr.settings import PageSettings
from stages.outputs import OcrOutput, Page
from tests.ocr_documents import SENTENCES, draw_pdf, write_lines

EXAMPLES = Path(__file__).parents[3] / "examples"
QUOTES = str.maketrans("\u201c\u201d\u2018\u2019\u2013\u2014", "\"\"''--")


def error_rate(text: str, truth: str) -> float:
    """Character error rate; white space and kinds of quotes and dashes do not count."""
    found, wanted = (" ".join(each.translate(QUOTES).split()) for each in (text, truth))
    return Levenshtein.distance(found, wanted) / len(wanted)


def true_text(name: str, number: int) -> str:
    truth: dict[str, Any] = json.loads((EXAMPLES / "truth.json").read_text("utf-8"))
    text: str = truth[name]["pages"][number - 1]["text"]
    return text


async def read(path: Path, services: MemoryServices | None = None, **params: Any) -> OcrOutput:
    output = await run_stage(ocr, path, params=OcrParams(**params), services=services)
    assert isinstance(output, OcrOutput)
    return output


@pytest.mark.parametrize(
    ("name", "number", "method", "most"),
    [
        ("invoice.pdf", 1, "text-layer", 0.005),
        ("minutes.docx", 1, "text", 0.005),
        ("contract.pdf", 10, "ocr", 0.01),
        ("letter.tiff", 1, "ocr", 0.01),
        ("receipt.jpg", 1, "ocr", 0.03),
    ],
)
def test_error_rates_on_the_examples(name: str, number: int, method: str, most: float) -> None:
    page = read_page(inspect(str(EXAMPLES / name), PageSettings()), number, PageSettings())
    assert page.method == method
    assert error_rate(page.text, true_text(name, number)) <= most


def test_invoice_is_recognised_as_well_as_it_is_written() -> None:
    page = read_page(inspect(str(EXAMPLES / "invoice.pdf"), PageSettings()), 1, PageSettings(force_ocr=True))
    assert error_rate(page.text, true_text("invoice.pdf", 1)) <= 0.01
    assert "BW-2210\tConductivity meter CM-40\t2\t684.00\t1,368.00" in page.text
    written = read_page(inspect(str(EXAMPLES / "invoice.pdf"), PageSettings()), 1, PageSettings())
    places = {word.text: word.box for word in written.words}
    for word in page.words:
        if word.text in ("BW-2210", "684.00", "Peristaltic", "Hansekontor"):
            assert word.box == pytest.approx(places[word.text], abs=6)


async def test_pages_are_joined_by_form_feeds_with_their_offsets(tmp_path: Path) -> None:
    pages = [lambda canvas, line=line: write_lines(canvas, (line,)) for line in SENTENCES[:3]]
    output = await read(draw_pdf(tmp_path / "a.pdf", *pages))
    assert output.text == "\f".join(SENTENCES[:3])
    assert [page.number for page in output.pages] == [1, 2, 3]
    assert [output.text[page.start :][: len(page.text)] for page in output.pages] == list(SENTENCES[:3])
    assert output.engine == "pdfium"


async def test_pages_that_were_saved_are_not_read_again(tmp_path: Path) -> None:
    pages = [lambda canvas, line=line: write_lines(canvas, (line,)) for line in SENTENCES[:4]]
    path = draw_pdf(tmp_path / "a.pdf", *pages)
    services = MemoryServices(path, {})
    whole = await read(path, services)
    assert sorted(services.saved) == ["page-1", "page-2", "page-3", "page-4"]
    assert services.used == {"pages": 4}
    # What an interrupted attempt left: were a saved page read again, it would get its own text back.
    del services.saved["page-2"]
    services.saved["page-3"]["text"] = "saved earlier"
    services.reported.clear()
    resumed = await read(path, services)
    assert services.used == {"pages": 4 + 1}
    texts = [page.text for page in resumed.pages]
    assert texts == [SENTENCES[0], SENTENCES[1], "saved earlier", SENTENCES[3]]
    assert services.reported[0] == Progress(3, 4, "page")
    assert services.reported[-1] == Progress(4, 4, "page")
    assert resumed.pages[3].start == whole.pages[3].start - len(SENTENCES[2]) + len("saved earlier")


async def test_only_the_pages_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "listing.txt"
    path.write_text("\f".join(map(str, range(1, 5002))))
    with pytest.raises(PermanentError, match="5,001 pages and at most 5,000 are read"):
        await read(path)
    assert (await read(path, pages="-2")).text == "1\f2"


async def test_error_names_the_page_and_says_why(tmp_path: Path) -> None:
    path = draw_pdf(
        tmp_path / "a.pdf",
        lambda canvas: write_lines(canvas, SENTENCES),
        lambda canvas: canvas.setPageSize((30_000, 30_000)),
    )
    with pytest.raises(PartError, match="page 2 failed") as caught:
        await read(path)
    assert isinstance(caught.value.__cause__, PermanentError)
    assert "30000 x 30000 points" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "params",
    [
        {"dpi": 71},
        {"dpi": 401},
        {"pages": "0-3"},
        {"pages": "3-2"},
        {"pages": "x"},
        {"languages": ["../x"]},
        {"colour": True},
    ],
)
def test_params_out_of_bounds(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OcrParams(**params)


def test_missing_engine_names_the_command_that_installs_it(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lambda canvas: write_lines(canvas, SENTENCES))
    # None is what Python itself keeps for a module that must not be found.
    code = (
        "import sys; sys.modules['pypdfium2'] = None\n"
        "from stages.ocr.reader import PageSettings, inspect; inspect(sys.argv[1], PageSettings())"
    )
    failed = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    message = failed.stderr.splitlines()[-1]
    assert message.startswith("pipeline.errors.PermanentError: the OCR stage needs pypdfium2")
    assert message.endswith("run `pip install 'millrace[engines]'`")


async def test_page_that_may_be_read_next_time_is_marked_at_the_last_attempt_only() -> None:
    async def dies(number: int) -> Page:
        raise ChildProcessDied(f"killed while it read page {number}")

    early, last = (SimpleNamespace(attempt=attempt, max_attempts=3) for attempt in (2, 3))
    with pytest.raises(ChildProcessDied):
        await passing_over(cast("StageContext", early), dies)(7)
    page = await passing_over(cast("StageContext", last), dies)(7)
    assert (page.number, page.method, page.error) == (7, "failed", "killed while it read page 7")
