"""The engines behind their one interface: RapidOCR, Tesseract, both, and Textract."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from PIL import Image, ImageChops

from pipeline import PermanentError, Snooze, TemporaryError, run_stage
from pipeline.errors import PartError
from stages.ocr import OcrParams, ocr
from stages.ocr.reader import inspect, read_page
from stages.ocr.settings import PageSettings
from stages.ocr.textract_engine import TextractEngine
from stages.outputs import OcrOutput, Page
from tests.ocr_documents import PAGE, SENTENCES, draw_pdf, picture_of, write_lines

TESSERACT = PageSettings(engine="tesseract")
AUTO = PageSettings(engine="auto")


def read(path: Path, settings: PageSettings) -> Page:
    return read_page(inspect(str(path), settings), 1, settings)


def scan(folder: Path, image: Image.Image) -> Path:
    image.save(folder / "scan.png")
    return folder / "scan.png"


def test_tesseract_reads_what_rapidocr_reads_at_the_same_places(tmp_path: Path) -> None:
    path = scan(tmp_path, picture_of(*SENTENCES[:3]))
    rapid, tesseract = read(path, PageSettings()), read(path, TESSERACT)
    assert tesseract.text == rapid.text == "\n".join(SENTENCES[:3])
    assert re.fullmatch(r"tesseract 5\.\d+\.\d+ \(tesserocr .*\)", tesseract.engine or "")
    assert (rapid.engine or "").startswith("rapidocr 3.")
    assert all(word.confidence and word.confidence > 0.8 for word in tesseract.words)
    for ours, other in zip(tesseract.words, rapid.words, strict=True):
        assert ours.box == pytest.approx(other.box, abs=20)


def test_tesseract_reads_what_lies_in_the_dark(tmp_path: Path) -> None:
    light = Image.linear_gradient("L").rotate(90).resize((1200, 900)).point(lambda level: 40 + level * 0.8)
    paper = ImageChops.multiply(picture_of(*SENTENCES), light.convert("RGB"))
    assert read(scan(tmp_path, paper), TESSERACT).text == "\n".join(SENTENCES)


@pytest.mark.parametrize(("turn", "rotation"), [(0, 0), (90, 90), (180, 180), (270, 270)])
def test_tesseract_reads_pages_that_lie_on_their_side(tmp_path: Path, turn: int, rotation: int) -> None:
    page = read(scan(tmp_path, picture_of(*SENTENCES).rotate(turn, expand=True)), TESSERACT)
    assert page.text.split("\n") == list(SENTENCES)
    assert page.rotation == rotation


@pytest.mark.parametrize("engine", ["rapidocr", "tesseract"])
def test_skew_is_measured(tmp_path: Path, engine: Any) -> None:
    skewed = picture_of(*SENTENCES).rotate(-2, Image.Resampling.BICUBIC, fillcolor="white")
    page = read(scan(tmp_path, skewed), PageSettings(engine=engine))
    assert page.skew == pytest.approx(2, abs=0.4)
    # Tesseract loses a space or a capital on the slope.
    found, wanted = (text.lower().replace(" ", "") for text in (page.text, "\n".join(SENTENCES)))
    assert found == wanted


def test_auto_asks_tesseract_for_what_only_that_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = scan(tmp_path, picture_of(SENTENCES[0]))
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    with pytest.raises(PermanentError, match="no data for rus on this worker: run `apt-get install tesser"):
        read(path, PageSettings(engine="auto", languages=("ru",)))
    assert (read(path, AUTO).engine or "").startswith("rapidocr")


@pytest.mark.parametrize("engine", ["rapidocr", "textract"])
async def test_language_that_an_engine_does_not_read(tmp_path: Path, engine: Any) -> None:
    path = scan(tmp_path, picture_of(SENTENCES[0]))
    message = f"engine {engine} does not read ru, el: ask for the engine tesseract"
    with pytest.raises((PermanentError, PartError)) as caught:
        await run_stage(ocr, path, params=OcrParams(engine=engine, languages=("en", "ru", "el")))
    assert message in str(caught.value.__cause__ or caught.value)


@pytest.mark.parametrize(("extra", "module"), [("tesseract", "tesserocr"), ("textract", "boto3")])
def test_missing_extra_names_the_command_that_installs_it(tmp_path: Path, extra: str, module: str) -> None:
    path = scan(tmp_path, picture_of(SENTENCES[0]))
    code = (
        f"import sys, anyio; sys.modules[{module!r}] = None\n"
        "from pathlib import Path; from pipeline import run_stage; from stages.ocr import OcrParams, ocr\n"
        "from stages.ocr.engine import engine_for; from stages.ocr.settings import PageSettings\n"
        f"if {extra!r} == 'tesseract': engine_for(PageSettings(engine='tesseract'))\n"
        f"from functools import partial; params = OcrParams(engine={extra!r})\n"
        "if __name__ == '__main__': anyio.run(partial(run_stage, ocr, Path(sys.argv[1]), params=params))"
    )
    failed = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert f"PermanentError: the OCR stage needs {module}" in failed.stderr
    assert failed.stderr.rstrip().endswith(f"run `pip install 'millrace[{extra}]'`")


Corners = list[tuple[float, float]]


def block(id_: str, kind: str, corners: Corners, **more: Any) -> dict[str, Any]:
    xs, ys = zip(*corners, strict=True)
    box = {"Left": min(xs), "Top": min(ys), "Width": max(xs) - min(xs), "Height": max(ys) - min(ys)}
    polygon = [{"X": x, "Y": y} for x, y in corners]
    return {"Id": id_, "BlockType": kind, "Geometry": {"BoundingBox": box, "Polygon": polygon}, **more}


def answer(turned: bool = False) -> dict[str, Any]:
    """What the service answers about a page that says `Pay now` and, below, `12.50`."""

    def corners(left: float, top: float, right: float, bottom: float) -> Corners:
        found = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return [(1 - y, x) for x, y in found] if turned else found

    def word(id_: str, text: str, *place: float) -> dict[str, Any]:
        told = {"Text": text, "Confidence": 97.5, "TextType": "PRINTED"}
        return block(id_, "WORD", corners(*place), **told)

    def line(id_: str, text: str, words: list[str], *place: float) -> dict[str, Any]:
        children = [{"Type": "CHILD", "Ids": words}]
        return block(id_, "LINE", corners(*place), Text=text, Confidence=97.5, Relationships=children)

    lines = [
        line("l2", "12.50", ["w3"], 0.1, 0.5, 0.2, 0.6),
        line("l1", "Pay now", ["w1", "w2"], 0.1, 0.2, 0.3, 0.3),
    ]
    words = [
        word("w1", "Pay", 0.1, 0.2, 0.18, 0.3),
        word("w2", "now", 0.2, 0.2, 0.3, 0.3),
        word("w3", "12.50", 0.1, 0.5, 0.2, 0.6),
    ]
    page = block("p", "PAGE", corners(0, 0, 1, 1), Relationships=[{"Type": "CHILD", "Ids": ["l1", "l2"]}])
    return {
        "DocumentMetadata": {"Pages": 1},
        "Blocks": [page, *lines, *words],
        "DetectDocumentTextModelVersion": "1.0",
    }


@pytest.fixture
def textract(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """The client of the service, which answers what a test says; botocore checks both shapes."""
    client = boto3.client(
        "textract", region_name="eu-central-1", aws_access_key_id="none", aws_secret_access_key="none"
    )
    engine = TextractEngine(client)
    monkeypatch.setattr(TextractEngine, "by_environment", lambda: engine)
    stubber = Stubber(client)
    stubber.activate()
    return stubber


async def read_by_textract(path: Path) -> OcrOutput:
    output = await run_stage(ocr, path, params=OcrParams(engine="textract"))
    assert isinstance(output, OcrOutput)
    return output


async def test_textract_reads_what_has_no_text_layer(textract: Stubber, tmp_path: Path) -> None:
    textract.add_response("detect_document_text", answer(), {"Document": {"Bytes": ANY}})
    output = await read_by_textract(scan(tmp_path, Image.new("RGB", (1000, 500), "white")))
    (page,) = output.pages
    assert page.text == "Pay now\n\n12.50"
    assert page.words[1].box == (200, 100, 300, 150)
    assert (page.words[1].confidence, page.method, page.rotation) == (0.975, "ocr", 0)
    assert output.engine == page.engine
    assert output.engine.startswith("textract (boto3 ")
    textract.assert_no_pending_responses()


async def test_textract_tells_that_a_page_lies_on_its_side(textract: Stubber, tmp_path: Path) -> None:
    textract.add_response("detect_document_text", answer(turned=True), {"Document": {"Bytes": ANY}})
    output = await read_by_textract(scan(tmp_path, Image.new("RGB", (500, 1000), "white")))
    (page,) = output.pages
    assert (page.text, page.rotation) == ("Pay now\n\n12.50", 270)
    assert page.words[1].box == (350, 200, 400, 300)


async def test_textract_is_not_asked_for_what_has_text(textract: Stubber, tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lambda canvas: write_lines(canvas, SENTENCES))
    output = await read_by_textract(path)
    assert (output.text, output.pages[0].width) == ("\n".join(SENTENCES), PAGE[0])
    assert output.engine == "pdfium"


@pytest.mark.parametrize(
    ("code", "status", "error", "words"),
    [
        ("ThrottlingException", 400, Snooze, "slow down"),
        ("ProvisionedThroughputExceededException", 400, Snooze, "slow down"),
        ("InternalServerError", 500, TemporaryError, "Textract failed"),
        ("BadDocumentException", 400, PermanentError, "ask for another engine"),
        ("AccessDeniedException", 400, PermanentError, "textract:DetectDocumentText"),
        ("UnrecognizedClientException", 400, PermanentError, "see to the worker's credentials"),
    ],
)
async def test_what_textract_refuses(
    textract: Stubber, tmp_path: Path, code: str, status: int, error: type[Exception], words: str
) -> None:
    textract.add_client_error("detect_document_text", code, "no", http_status_code=status)
    with pytest.raises(PartError) as caught:
        await read_by_textract(scan(tmp_path, Image.new("RGB", (500, 1000), "white")))
    assert type(caught.value.__cause__) is error
    assert words in str(caught.value.__cause__)
    if isinstance(caught.value.__cause__, Snooze):
        assert caught.value.__cause__.delay > timedelta(0)


async def test_textract_without_a_region_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(PermanentError, match="AWS credentials and a region"):
        await read_by_textract(scan(tmp_path, Image.new("RGB", (500, 1000), "white")))
