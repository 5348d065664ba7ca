"""The entities of the example documents, found in their true text."""

import json
from pathlib import Path

import pytest

from pipeline import run_stage
from stages.ner import ner
from stages.outputs import OcrOutput, Page

TRUTH = json.loads((Path(__file__).parents[3] / "examples" / "truth.json").read_text(encoding="utf-8"))
NAMES = {"PERSON", "ORG", "LOC"}

Mention = tuple[str, int, str, str]
"""File, page, label, text."""


async def mentions(file: str, tmp_path: Path) -> set[Mention]:
    pages, start = [], 0
    for page in TRUTH[file]["pages"]:
        pages.append(Page(number=page["number"], text=page["text"], method="text", start=start))
        start += len(page["text"]) + 1
    text = OcrOutput(text="\f".join(page.text for page in pages), pages=pages, engine="text")
    path = tmp_path / file
    path.touch()
    output = await run_stage(ner, path, earlier=[text])
    # The truth has the places in addresses, but not the addresses.
    return {
        (file, each.page, each.label, " ".join(each.text.split()))
        for each in output.entities
        if each.label != "ADDRESS"
    }


def f1(truth: set[Mention], found: set[Mention]) -> float:
    return 2 * len(truth & found) / (len(truth) + len(found))


@pytest.mark.parametrize(("names", "least"), [(False, 0.95), (True, 0.75)], ids=["structured", "names"])
async def test_entities_of_the_examples(names, least, tmp_path):
    truth, found = set(), set()
    for file, document in TRUTH.items():
        truth |= {(file, each["page"], each["label"], each["text"]) for each in document["entities"]}
        found |= await mentions(file, tmp_path)
    truth = {mention for mention in truth if (mention[2] in NAMES) == names}
    found = {mention for mention in found if (mention[2] in NAMES) == names}
    assert f1(truth, found) >= least, (truth - found, found - truth)
    assert len(found - truth) <= 0.1 * len(truth), found - truth
