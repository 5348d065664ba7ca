"""Outputs of the earlier stages for tests of the LLM stage: from plain texts and from the examples' truth."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from stages.outputs import Entity, NerOutput, OcrOutput, Page, Word

EXAMPLES = Path(__file__).parent.parent / "examples"
CHARACTER, LEADING = 6, 14
"""Points: words stand on a grid, as a typewriter sets them."""


def truth(name: str) -> dict[str, Any]:
    """Return what the examples' generator knows of one file."""
    found: dict[str, Any] = json.loads((EXAMPLES / "truth.json").read_text())[name]
    return found


def recognised(*texts: str) -> OcrOutput:
    """Return a document of pages with these texts, each word in its place."""
    pages, start = [], 0
    for number, text in enumerate(texts, 1):
        pages.append(Page(number=number, text=text, method="ocr", start=start, words=_words(text)))
        start += len(text) + 1
    return OcrOutput(text="\f".join(texts), pages=pages, engine="test")


def entities(text: OcrOutput, found: Iterable[tuple[str, str, int | None]]) -> NerOutput:
    """Return an entity for every place of each (label, text, page), on all pages where that is None."""
    made = [
        _entity(page, label, match)
        for label, words, number in found
        for page in text.pages
        if number in (None, page.number)
        for match in re.finditer(r"\s+".join(map(re.escape, words.split())), page.text)
    ]
    return NerOutput(entities=made, engine="test")


def example(name: str) -> tuple[OcrOutput, NerOutput]:
    """Return the truth of one example as the two stages before would give it."""
    known = truth(name)
    text = recognised(*(page["text"] for page in known["pages"]))
    return text, entities(text, [(each["label"], each["text"], each["page"]) for each in known["entities"]])


def _words(text: str) -> list[Word]:
    words = []
    for match in re.finditer(r"\S+", text):
        row = text.count("\n", 0, match.start())
        left = (match.start() - (text.rfind("\n", 0, match.start()) + 1)) * CHARACTER
        box = (left, row * LEADING, left + len(match[0]) * CHARACTER, row * LEADING + 10)
        words.append(Word(text=match[0], start=match.start(), end=match.end(), box=box))
    return words


def _entity(page: Page, label: str, match: re.Match[str]) -> Entity:
    boxes = [word.box for word in page.words if word.start < match.end() and match.start() < word.end]
    sides = list(zip(*boxes, strict=True))
    return Entity(
        label=label,
        text=match[0],
        start=page.start + match.start(),
        end=page.start + match.end(),
        page=page.number,
        box=(min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3])),
        score=1,
        normalized=_normalised(label, match[0]),
        engine="test",
    )


def _normalised(label: str, text: str) -> str | None:
    if label == "IBAN":
        return "".join(text.split())
    return _iso(" ".join(text.split()), ("%d %B %Y", "%d/%m/%Y")) if label == "DATE" else None


def _iso(text: str, formats: Sequence[str]) -> str | None:
    for each in formats:
        try:
            return datetime.strptime(text, each).date().isoformat()
        except ValueError:
            continue
    return None
