"""Tesseract through tesserocr: faster than RapidOCR, for more scripts, and worse on bad scans."""

import os
from functools import lru_cache
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from tesserocr import OEM, PSM, PyTessBaseAPI

from stages.ocr.doubt import sure_lines, take_if_better, without_stains
from stages.ocr.engine import Pixels
from stages.ocr.fragment import Fragment
from stages.ocr.left_out import blanked, inked_places
from stages.ocr.lighting import evenly_lit
from stages.ocr.straight import Straight
from stages.ocr.tesseract_data import languages_and_folder
from stages.ocr.tesseract_lines import read_lines, slope
from stages.ocr.text_line import TextLine
from stages.outputs import Box

_PADDING = 0.4
"""In line heights: white around what is read alone."""
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
        """Return the lines of text in an image; boxes are in its pixels.

        The page is straightened first, as Tesseract mixes up the rows of a sloping table. What its
        analysis of the page has left out or hardly read is then read once more, place by place.
        """
        api = self._api
        api.SetPageSegMode(PSM.AUTO)
        lit = evenly_lit(image)
        api.SetImage(lit)
        straight = Straight.of(lit, slope(api.AnalyseLayout()))
        if straight.angle:
            api.SetImage(straight.image)
        api.Recognize()
        lines = self._completed(read_lines(api.GetIterator()), straight.image)
        api.Clear()
        return [straight.back(each) for line in lines for each in line.fragments()]

    def _completed(self, lines: list[TextLine], image: Image.Image) -> list[TextLine]:
        """Read once more what the engine is not sure of, and ink that it has left out."""
        sure = sure_lines(lines)
        if not sure:
            return lines
        height = median(line.height for line in sure)
        rest = blanked(image, (word.box for line in sure for word in line.words), height)
        self._api.SetImage(rest)
        ink = ~np.asarray(self._api.GetThresholdedImage().convert("L"), np.bool_)
        for box in inked_places(ink, height):
            take_if_better(lines, self._read_alone(box, _PADDING * height, rest.size), box)
        return without_stains(lines)

    def _read_alone(self, box: Box, padding: float, size: tuple[int, int]) -> list[TextLine]:
        left, top = max(int(box[0] - padding), 0), max(int(box[1] - padding), 0)
        right, bottom = min(int(box[2] + padding), size[0]), min(int(box[3] + padding), size[1])
        self._api.SetPageSegMode(PSM.SINGLE_LINE)
        self._api.SetRectangle(left, top, right - left, bottom - top)
        self._api.Recognize()
        return read_lines(self._api.GetIterator())


@lru_cache(maxsize=1)
def _api(languages: str, folder: str) -> Any:
    made = PyTessBaseAPI(path=folder, lang=languages, psm=PSM.AUTO, oem=OEM.LSTM_ONLY)
    made.SetVariable("debug_file", os.devnull)
    return made
