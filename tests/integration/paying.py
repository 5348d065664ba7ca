"""Pipelines of the stages that ask a model, which take a plain text for their pages; and settings."""

from decimal import Decimal

import pytest

from pipeline import Document, Pipeline, StageContext, stage
from stages.llm import llm
from stages.ner import ner
from stages.outputs import NerOutput, OcrOutput
from tests.llm_documents import recognised
from tests.llm_faults import FaultServer

PRICES = '{"m": {"input": 0.15, "output": 0.60}}'
ONE = Decimal("0.0000027")
"""What the fault server's answer costs: 10 tokens in, 2 out."""


class Use:
    """The settings of the LLM stage for a test: `use(server, job_tokens="12")`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, server: FaultServer, **settings: str) -> None:
        for name, value in {**told(server), **settings}.items():
            self._monkeypatch.setenv(f"MILLRACE_LLM_{name.upper()}", value)


def told(server: FaultServer) -> dict[str, str]:
    """Return settings by which pages are chunks, asked about one by one."""
    chunks = {"chunk_tokens": "200", "concurrency": "1"}
    return {"base_url": server.base_url, "model": "m", "prices": PRICES, **chunks}


@stage(name="pages")
async def pages(document: Document, context: StageContext) -> OcrOutput:
    return recognised(*(await document.read()).decode().split("\f"))


@stage(name="nothing")
async def nothing(text: OcrOutput, context: StageContext) -> NerOutput:
    return NerOutput(entities=[], engine="test")


PAYING = Pipeline("paying", [pages, nothing, llm])
NAMING = Pipeline("naming", [pages, ner])


def document(count: int, words: str = "Oak and elm.") -> bytes:
    """A text of so many pages, each one chunk where 200 tokens are."""
    return "\f".join(f"Page {number}. " + f"{words} " * 35 for number in range(1, count + 1)).encode()
