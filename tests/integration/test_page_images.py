"""Pictures of pages over REST."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr

from pipeline import Document, Pipeline, Stage, StageContext, stage
from pipeline.store import Store
from stages.ocr import ocr
from stages.outputs import MaskedMention, Page, RedactedOutput
from tests.integration.api_server import serving
from tests.ocr_documents import SENTENCES, draw_pdf, write_lines
from tests.support import COUNTING, Text, pipeline_of, running, until

PAPERS = Pipeline("papers", [ocr])


def pdf(folder: Path, password: str | None = None) -> bytes:
    pages = (lambda canvas: None, lambda canvas: write_lines(canvas, SENTENCES))
    return draw_pdf(folder / "a.pdf", *pages, password=password).read_bytes()


async def test_a_page_is_drawn_on_demand(store: Store, tmp_path: Path) -> None:
    settings = store.settings.model_copy(update={"secret_key": SecretStr("A" * 43)})
    async with serving(settings, (COUNTING, PAPERS)) as served:
        params = json.dumps({"ocr": {"password": "key"}})
        job = await served.submit(pdf(tmp_path, "key"), "a.pdf", params=params, pipeline="papers")
        answer = await served.http.get(f"/v1/jobs/{job['id']}/pages/2/image?dpi=144")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        picture = Image.open(BytesIO(answer.content))
        assert picture.size == (800, 600)
        darkest, _ = picture.convert("L").getextrema()
        assert darkest < 60
        blank = await served.http.get(f"/v1/jobs/{job['id']}/pages/1/image")
        assert Image.open(BytesIO(blank.content)).convert("L").getextrema() == (255, 255)


async def test_pages_that_have_no_picture(store: Store, tmp_path: Path) -> None:
    async with serving(store.settings, (COUNTING, PAPERS)) as served:
        text = await served.submit(b"one two")
        locked = await served.submit(pdf(tmp_path, "key"), "a.pdf", pipeline="papers")
        for job, number, status, words in (
            (text["id"], 1, 422, "page 1 is plain text and has no picture"),
            (text["id"], 2, 422, "1 pages, and no page 2"),
            (locked["id"], 1, 422, "the PDF is encrypted: give its `password`"),
            ("0" * len(text["id"]), 1, 404, "job"),
        ):
            answer = await served.http.get(f"/v1/jobs/{job}/pages/{number}/image")
            assert (answer.status_code, answer.headers["Content-Type"]) == (
                status,
                "application/problem+json",
            )
            assert words in answer.json()["detail"]


@stage(name="redact")
async def other(document: Document, context: StageContext) -> Text:
    """Bears the name of the built-in stage, and tells of no masks."""
    return Text(text="")


@stage(name="redact")
async def without_a_box(document: Document, context: StageContext) -> RedactedOutput:
    mention = MaskedMention(placeholder="[PERSON_1]", start=0, page=2, boxes=[], text=None)
    pages = [Page(number=each, text="", method="text", width=1, height=1) for each in (1, 2)]
    return RedactedOutput(
        text="[PERSON_1]", pages=pages, engine="x", entities=[], masks=[], mentions=[mention]
    )


@pytest.mark.parametrize(
    ("redacting", "number", "status", "words"),
    [
        (None, 1, 404, "redact"),
        (other, 1, 422, "is not that of the built-in one"),
        (without_a_box, 2, 422, "page 2 has 1 masked mentions without a box"),
        (without_a_box, 3, 422, "page 3 was not read"),
    ],
)
async def test_a_page_of_which_nobody_knows_what_to_black_out_is_refused(
    store: Store, tmp_path: Path, redacting: Stage | None, number: int, status: int, words: str
) -> None:
    pipeline = pipeline_of(redacting or other)
    async with serving(store.settings, (COUNTING, pipeline)) as served:
        job = await served.submit(pdf(tmp_path), "a.pdf", pipeline=pipeline.name)
        if redacting is not None:
            async with running(store, pipeline):
                await until(store, job["id"])
        answer = await served.http.get(f"/v1/jobs/{job['id']}/pages/{number}/image?redacted=true")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
