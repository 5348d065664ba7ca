"""Pictures of pages over REST."""

import json
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydantic import SecretStr

from pipeline import Pipeline
from pipeline.store import Store
from stages.ocr import ocr
from tests.integration.api_server import serving
from tests.ocr_documents import SENTENCES, draw_pdf, write_lines
from tests.support import COUNTING

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
