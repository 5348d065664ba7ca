"""Tesseract through tesserocr: faster than RapidOCR, for more scripts, and worse on bad scans."""

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from tesserocr import OEM, PSM, RIL, PyTessBaseAPI, iterate_level

from stages.ocr.engine import Pixels
from stages.ocr.fragment import Fragment, FragmentWord, fragments_of
from stages.ocr.lighting import evenly_lit
from stages.ocr.tesseract_data import languages_and_folder

_MIN_SCORE = 0.3
"""Words of which the engine is less sure are stains and rulings, not text."""
# A page has one core of its own. Read by OpenMP when the first page is recognised.
os.environ.setdefault("OMP_THREAD_LIMIT", "1")


class TesseractEngine:
    """One instance for each process and choice of languages."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        """Load the languages' data.

        Raises:
            PermanentError: there is none; the message says how to install it.
        """
        self._api = _api(*languages_and_folder(languages))
        self.name = f"tesseract {self._api.Version().split('-')[0]} (tesserocr {version('tesserocr')})"

    def recognise(self, image: Pixels) -> list[Fragment]:
        """Return the lines of text in an image; boxes are in its pixels."""
        self._api.SetImage(evenly_lit(image))
        self._api.Recognize()
        lines = _lines(self._api)
        self._api.Clear()
        return lines


@lru_cache(maxsize=1)
def _api(languages: str, folder: str) -> Any:
    made = PyTessBaseAPI(path=folder, lang=languages, psm=PSM.AUTO, oem=OEM.LSTM_ONLY)
    made.SetVariable("debug_file", os.devnull)
    return made


def _lines(api: Any) -> list[Fragment]:
    fragments: list[Fragment] = []
    words: list[FragmentWord] = []
    angle = 0.0
    for place in _places(api):
        if place.IsAtBeginningOf(RIL.TEXTLINE):
            fragments += fragments_of(words, angle)
            words, angle = [], _angle(place)
        text, box = place.GetUTF8Text(RIL.WORD), place.BoundingBox(RIL.WORD)
        score = min(max(place.Confidence(RIL.WORD) / 100, 0.0), 1.0)
        if box is not None and not text.isspace() and score >= _MIN_SCORE:
            left, top, right, bottom = map(float, box)
            words.append(FragmentWord(text.strip(), (left, top, right, bottom), score))
    return fragments + list(fragments_of(words, angle))


def _places(api: Any) -> Iterator[Any]:
    iterator = api.GetIterator()
    if iterator is not None:
        yield from (each for each in iterate_level(iterator, RIL.WORD) if not each.Empty(RIL.WORD))


def _angle(place: Any) -> float:
    """Return the baseline's angle; 0 for lines that run downwards."""
    line = place.Baseline(RIL.TEXTLINE)
    if line is None:
        return 0.0
    (x1, y1), (x2, y2) = line
    return math.atan2(y2 - y1, x2 - x1) if x2 - x1 > abs(y2 - y1) else 0.0
