"""Pages that can't be read are marked and passed over, and read again alone."""

from pathlib import Path
from typing import Any

from pipeline import Pipeline
from pipeline.client import Client
from pipeline.store import Store
from stages.ocr import ocr
from tests.ocr_documents import SENTENCES, draw_pdf, write_lines
from tests.support import running, submit, until

PAPERS = Pipeline("papers", [ocr])


def pdf(folder: Path) -> bytes:
    """Three pages, the second of which is too large to be read."""
    return draw_pdf(
        folder / "a.pdf",
        lambda canvas: write_lines(canvas, SENTENCES[:1]),
        lambda canvas: canvas.setPageSize((30_000, 30_000)),
        lambda canvas: write_lines(canvas, SENTENCES[1:2]) or canvas.setPageSize((400, 300)),
    ).read_bytes()


async def test_a_skipped_page_is_marked_and_is_read_again_alone(store: Store, tmp_path: Path) -> None:
    async with running(store, PAPERS):
        client = Client(store)
        params = {"ocr": {"on_page_error": "skip"}}
        job = (await submit(client, "papers", pdf(tmp_path), params=params)).id
        assert (await until(store, job)).state == "succeeded"
        output = await client.output(job, "ocr")
        assert [page["method"] for page in output["pages"]] == ["text-layer", "failed", "text-layer"]
        assert "30000 x 30000 points" in output["pages"][1]["error"]
        assert output["text"] == f"{SENTENCES[0]}\f\f{SENTENCES[1]}"
        # What was read is taken over as it is; only what was marked is tried again.
        changed: dict[str, Any] = {"$set": {"body.pages.0.text": "read earlier"}}
        await store.db["outputs"].update_one({"job": job}, changed)
        await client.retry(job, "ocr")
        assert (await until(store, job)).state == "succeeded"
        again = await client.output(job, "ocr")
        assert again["text"] == f"read earlier\f\f{SENTENCES[1]}"
        assert again["pages"][1]["method"] == "failed"


async def test_without_that_the_page_fails_the_job(store: Store, tmp_path: Path) -> None:
    async with running(store, PAPERS):
        client = Client(store)
        job = (await submit(client, "papers", pdf(tmp_path))).id
        view = await until(store, job)
        error = view.stages[0].error
        assert error is not None
        assert (error.part, error.type) == ("page 2", "PermanentError")
