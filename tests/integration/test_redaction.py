"""Personal data through a real worker: what leaves the house, what comes back, what the pictures show."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from api.wiring import redacted
from pipeline.store import Store
from stages.ocr.rapidocr_engine import RapidOcrEngine
from tests.integration.api_server import Api, Json, serving
from tests.llm_faults import fault_server, says
from tests.ocr_documents import draw_pdf, picture_of, place_picture, write_lines
from tests.support import COUNTING, until, worker_process

LINES = (
    "Dear Ms Laura Whitfield,",
    "please pay EUR 5.00 before 1 June 2026 to",
    "IBAN DE89 3704 0044 0532 0130 00",
    "or write to l.whitfield@home.example",
    "Yours sincerely, Dietmar Kranz",
    "Harbour office, pier number seven",
)
SECRETS = ("whitfield", "laura", "dietmar", "kranz", "3704", "0532", "home.example")
ANSWER = {
    "type": "letter",
    "title": "Letter to [PERSON_1]",
    "summary": "[PERSON_1] shall pay to [IBAN_1], says PERSON_2.",
    "fields": [{"name": "iban", "value": "[IBAN_1]", "page": 1, "quote": "IBAN [IBAN_1]"}],
}


def letter(folder: Path) -> bytes:
    """A page with a text layer, and the same as a skewed scan."""
    scan = picture_of(*LINES).rotate(-1.5, Image.Resampling.BICUBIC, fillcolor="white")
    pages = (lambda canvas: write_lines(canvas, LINES), lambda canvas: place_picture(canvas, scan))
    return draw_pdf(folder / "letter.pdf", *pages).read_bytes()


async def text_in_picture(served: Api, job: Json, page: int, **query: Any) -> str:
    answer = await served.http.get(f"/v1/jobs/{job['id']}/pages/{page}/image", params={"dpi": 200, **query})
    assert answer.status_code == 200, answer.text
    pixels = np.asarray(Image.open(BytesIO(answer.content)).convert("RGB"))[:, :, ::-1]
    found = RapidOcrEngine(()).recognise(np.ascontiguousarray(pixels))
    return " ".join(each.text for each in found).casefold()


async def test_what_leaves_the_house_is_masked(store: Store, tmp_path: Path) -> None:
    async with (
        fault_server(says(ANSWER)) as endpoint,
        serving(store.settings, (COUNTING, redacted())) as served,
        worker_process(
            store.settings,
            "documents-redacted",
            MILLRACE_LLM_BASE_URL=endpoint.base_url,
            MILLRACE_LLM_MODEL="m",
        ),
    ):
        job = await served.submit(letter(tmp_path), "letter.pdf", pipeline="documents-redacted")
        assert (await until(store, job["id"])).state == "succeeded"
        sent = json.dumps([each.body for each in endpoint.requests], ensure_ascii=False).casefold()
        result = await served.get(f"/v1/jobs/{job['id']}/outputs/unmask")
        pictures = [await text_in_picture(served, job, page, redacted=True) for page in (1, 2)]
        recognised = (await served.get(f"/v1/jobs/{job['id']}/outputs/ocr"))["pages"][1]
    assert [secret for secret in SECRETS if secret in sent] == []
    assert "[person_1]" in sent
    assert "harbour office" in sent
    assert "Laura Whitfield shall pay to DE89370400440532013000, says Dietmar Kranz." in json.dumps(result)
    assert recognised["method"] == "ocr"
    assert [secret for secret in SECRETS if secret not in recognised["text"].casefold()] == []
    for picture in pictures:
        assert [secret for secret in SECRETS if secret in picture] == []
        assert "harbour office, pier number seven" in picture
