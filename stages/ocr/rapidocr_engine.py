"""RapidOCR, the engine by default: its models come with its package."""

import math
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidocr import RapidOCR
from rapidocr.utils.process_img import map_boxes_to_original

from stages.ocr.engine import Pixels
from stages.ocr.fragment import Fragment, FragmentWord
from stages.ocr.language import RAPIDOCR, check_languages
from stages.outputs import Box

Quad = NDArray[np.float32]
"""The corners of a line: top left, top right, bottom right, bottom left; 4 x 2."""

_LONG_SIDE, _SHORT_SIDE = 2000, 1000
"""Pixels beyond both cost time and add no accuracy. The short side keeps long receipts legible."""
_MAX_PIXELS = 6_000_000
"""Finding the lines takes about 200 bytes of memory for each pixel."""
_MIN_SCORE = 0.5
"""Lines of which the engine is less sure are stains and rulings, not text."""
_UPENDED = 1.5
"""Height over width from which on the engine takes a line as running from top to bottom."""


class RapidOcrEngine:
    """One instance of the models for each process, on one core."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        """Check that the languages are read; one model reads them all.

        Raises:
            PermanentError: one of them is not.
        """
        check_languages("rapidocr", languages, RAPIDOCR)
        self.name = f"rapidocr {version('rapidocr')}"

    def recognise(self, image: Pixels) -> list[Fragment]:
        """Return the lines of text in an image; boxes are in its pixels.

        A word's box is the part of its line's box between its first and last character, whose places
        the engine gives to about half a character.
        """
        engine = _engine()
        height, width = image.shape[:2]
        engine.max_side_len = math.ceil(max(height, width) * _scale(width, height))
        scaled, record = engine.preprocess_img(image)
        found, _, read, _ = engine.run_ocr_steps(scaled, record)
        if found.boxes is None or read.txts is None:
            return []
        quads = map_boxes_to_original(found.boxes, record, height, width)
        lines = zip(read.txts, read.scores, read.word_results, quads, strict=True)
        return [
            _fragment(text, places, quad)
            for text, score, places, quad in lines
            if text.strip() and score >= _MIN_SCORE
        ]


def _scale(width: int, height: int) -> float:
    sides = max(_LONG_SIDE / max(width, height), _SHORT_SIDE / min(width, height))
    return min(1.0, sides, math.sqrt(_MAX_PIXELS / (width * height)))


@lru_cache(maxsize=1)
def _engine() -> Any:
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Global.return_word_box": True,
            # A page has one core of its own; more threads would only get in other pages' way.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            # A batch is padded to its longest line: without batches nothing is computed for padding.
            "Rec.rec_batch_num": 1,
        }
    )


def _fragment(text: str, places: Any, quad: Quad) -> Fragment:
    along, across = quad[1] - quad[0], quad[3] - quad[0]
    upended = bool(np.hypot(*across) >= _UPENDED * np.hypot(*along))
    words = tuple(
        FragmentWord(word, _part(quad, start, end, upended), confidence)
        for word, start, end, confidence in _words(text, places)
    )
    angle = 0.0 if upended else math.atan2(float(along[1]), float(along[0]))
    return Fragment(words, _part(quad, 0, 1, upended), angle)


def _words(text: str, places: Any) -> Iterator[tuple[str, float, float, float]]:
    """Give each word with its start and end as shares of the line's length, and its confidence."""
    # One column for each character that is no space; one confidence for each character.
    columns = iter([column for word in places.word_cols for column in word])
    centres = [None if character.isspace() else next(columns) + 0.5 for character in text]
    spread = [centre for centre in centres if centre is not None]
    half = (spread[-1] - spread[0]) / max(len(text) - 1, 1) / 2 or places.line_txt_len / 2
    position = 0
    for word in text.split():
        first = text.index(word, position)
        position = first + len(word)
        start, end = centres[first], centres[position - 1]
        if start is None or end is None:
            raise AssertionError("str.split gives no spaces")
        yield (
            word,
            max(0.0, (start - half) / places.line_txt_len),
            min(1.0, (end + half) / places.line_txt_len),
            fmean(places.confs[first:position]),
        )


def _part(quad: Quad, start: float, end: float, upended: bool) -> Box:
    """Return the box around the part of a line between two shares of its length."""
    first, second, third, fourth = quad
    # An upended line starts at its upper edge instead of its left one.
    near, far = ((first, second), (fourth, third)) if upended else ((first, fourth), (second, third))
    corners = np.array(
        [
            edge + (opposite - edge) * share
            for edge, opposite in zip(near, far, strict=True)
            for share in (start, end)
        ]
    )
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
