"""Documents that are made to do harm: each ends with an error that says why, in bounded memory."""

import re
from datetime import timedelta
from pathlib import Path

from pipeline import PermanentError
from pipeline.errors import ChildProcessDied
from pipeline.processes import Processes
from stages.ocr import OcrParams
from stages.ocr.reader import inspect, read_page
from stages.ocr.stage import pages_to_read
from tests.ocr_corpus import BOMBS, peak_memory, spoiled

MEMORY = 768 * 1024**2
PARAMS = OcrParams(engine="tesseract")
WALL, CPU = timedelta(seconds=60), timedelta(seconds=5)


async def end_of(children: Processes, path: Path) -> str:
    """Read the first pages as the stage does; returns what the error says, nothing when there is none."""
    settings = PARAMS.settings()
    try:
        source = await children.run(0, inspect, str(path), settings, timeout=WALL, cpu=CPU)
        for number in pages_to_read(PARAMS, source)[:3]:
            await children.run(0, read_page, source, number, settings, timeout=WALL, cpu=CPU)
    except (PermanentError, ChildProcessDied) as error:
        return str(error)
    return ""


def expected(error: str, words: str) -> bool:
    """Words between bars are alternatives; an empty one allows that there is no error."""
    return any(re.search(each, error) if each else not error for each in words.split("|"))


async def test_bombs_of_every_kind(tmp_path: Path) -> None:
    path, wrong = tmp_path / "document", {}
    async with Processes(1, MEMORY) as children:
        for name, (make, words) in BOMBS.items():
            path.write_bytes(make())
            error = await end_of(children, path)
            if not expected(error, words):
                wrong[name] = error
            assert await children.run(0, peak_memory) < MEMORY, name
    assert wrong == {}


async def test_spoiled_documents_of_every_kind(tmp_path: Path) -> None:
    path, wrong = tmp_path / "document", {}
    async with Processes(1, MEMORY) as children:
        for name, (content, words) in spoiled(tmp_path).items():
            path.write_bytes(content)
            error = await end_of(children, path)
            if not expected(error, words):
                wrong[name] = error
    assert wrong == {}
