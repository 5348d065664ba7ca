"""What is painted over in the picture of a page."""

from typing import Literal

import numpy as np
import pytest

from pipeline import PermanentError
from stages.ocr.picture import painted_over
from stages.outputs import Box, MaskedMention, Page, RedactedOutput, Word
from stages.redact.blackening import black_boxes

WORD: Box = (100, 50, 160, 70)


def output(*mentions: list[Box], rotation: Literal[0, 90] = 0, read: bool = True) -> RedactedOutput:
    word = Word(text="x", start=0, end=1, box=WORD if rotation == 0 else (50, 100, 70, 160))
    method: Literal["ocr", "failed"] = "ocr" if read else "failed"
    page = Page(number=2, text="x", method=method, width=400, height=300, rotation=rotation, words=[word])
    masked = [
        MaskedMention(placeholder="[PERSON_1]", start=0, page=2, boxes=boxes, text=None) for boxes in mentions
    ]
    return RedactedOutput(
        text="x", pages=[page], engine="x", entities=[], groups=[], masks=[], mentions=masked
    )


def test_words_of_a_mention_on_one_line_are_one_box_with_padding() -> None:
    name: list[Box] = [(100, 50, 160, 70), (170, 52, 220, 72), (30, 80, 90, 100)]
    assert black_boxes(output(name), 2) == [(91.2, 48, 228.8, 74), (22, 78, 98, 102)]


def test_lines_of_a_page_on_its_side_run_downwards() -> None:
    name: list[Box] = [(50, 100, 70, 160), (50, 170, 70, 220)]
    assert black_boxes(output(name, rotation=90), 2) == [(48, 92, 72, 228)]


def test_nothing_masked_is_nothing_painted() -> None:
    assert black_boxes(output(), 2) == []


@pytest.mark.parametrize(
    ("redacted", "number", "words"),
    [
        (output([WORD], []), 2, "page 2 has 1 masked mentions without a box"),
        (output([WORD], read=False), 2, "page 2 was not read"),
        (output([WORD]), 1, "page 1 was not read"),
    ],
)
def test_what_cannot_be_blacked_out_is_refused(redacted: RedactedOutput, number: int, words: str) -> None:
    with pytest.raises(PermanentError, match=words):
        black_boxes(redacted, number)


def test_every_pixel_that_a_box_touches_is_black() -> None:
    white = np.full((20, 40, 3), 255, np.uint8)
    painted = painted_over(white, [(1.3, 2.1, 4.2, 3.4), (-9, 8, 90, 90)], 2)
    assert painted[4:7, 2:9].max() == 0
    assert painted[16:].max() == 0
    assert (painted == 0).all(axis=2).sum() == 3 * 7 + 4 * 40
    assert white.min() == 255
