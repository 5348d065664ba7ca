"""Lines as Tesseract gives them: where they break, addresses in one, doubtful words, ink left out."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stages.ocr.doubt import take_if_better, without_stains
from stages.ocr.fragment import Fragment, FragmentWord
from stages.ocr.left_out import blanked, inked_places
from stages.ocr.straight import Straight
from stages.ocr.text_line import Baseline, TextLine, whole_addresses
from stages.outputs import Box


def word(text: str, left: float, width: float, *, top: float = 10, score: float = 0.9) -> FragmentWord:
    """A word that stands on y = 30; from `top` = 10 on it has capitals, from 18 on it has none."""
    return FragmentWord(text, (left, top, left + width, 30), score)


def line(*words: FragmentWord) -> TextLine:
    return TextLine(list(words), height=28, below=6, baseline=Baseline(0, 30, 0))


def texts(lines: list[TextLine]) -> list[str]:
    return [" ".join(each.text for each in one.words) for one in lines]


def test_line_breaks_at_gaps_that_are_wide_for_the_line_and_not_for_its_low_words() -> None:
    justified = line(word("a", 0, 10, top=18), word("new", 32, 40, top=18), word("Price", 110, 60))
    assert [each.text for each in justified.fragments()] == ["a new", "Price"]


def test_sign_in_the_middle_of_a_line_does_not_break_it() -> None:
    dot = FragmentWord("·", (70, 20, 73, 23), 0.9)
    (found,) = line(word("GmbH", 0, 60), dot, word("Kiel", 85, 50)).fragments()
    assert found.text == "GmbH · Kiel"


def test_fragment_is_as_high_as_its_line_and_words_are_as_high_as_their_ink() -> None:
    (found,) = line(word("an", 0, 30, top=18)).fragments()
    assert found.box == (0, 8, 30, 36)
    assert found.words[0].box == (0, 18, 30, 30)


def test_address_that_was_taken_apart_is_one_word() -> None:
    parts = [word("to", 0, 20), word("office", 30, 60), word("@", 98, 20), word("quay.example,", 125, 90)]
    whole = whole_addresses(parts, 28)
    assert [each.text for each in whole] == ["to", "office@quay.example,"]
    assert whole[1].box == (30, 10, 215, 30)


@pytest.mark.parametrize("parts", [("kg", "@", "1.10"), ("see", "quay.example")])
def test_other_words_stay_apart(parts: tuple[str, ...]) -> None:
    words = [word(text, 50.0 * index, 45) for index, text in enumerate(parts)]
    assert whole_addresses(words, 28) == words


def test_doubtful_words_are_text_beside_sure_ones_only() -> None:
    lines = [line(word("Then", 0, 50), word("in", 60, 20, score=0.1)), line(word("ment", 500, 20, score=0.1))]
    assert texts(without_stains(lines)) == ["Then in"]


def test_doubtful_signs_are_stains() -> None:
    assert texts(without_stains([line(word("Then", 0, 50), word("|", 55, 2, score=0.5))])) == ["Then"]


def test_better_reading_of_a_place_is_taken() -> None:
    place: Box = (55, 5, 90, 35)
    lines = [line(word("Till", 0, 50), word("o8", 60, 20, score=0.2))]
    take_if_better(lines, [line(word("x", 60, 20, score=0.1))], place)
    assert texts(lines) == ["Till o8"]
    take_if_better(lines, [line(word("03", 60, 20))], place)
    assert texts(lines) == ["Till 03"]


def test_what_was_left_out_far_from_all_lines_is_a_line_and_a_piece_of_a_letter_is_not() -> None:
    lines = [line(word("Milk", 0, 50))]
    take_if_better(lines, [line(word("1", 52, 3))], (52, 10, 55, 30))
    take_if_better(lines, [line(word("2.95", 400, 60))], (400, 10, 460, 30))
    assert texts(lines) == ["Milk", "2.95"]


def test_places_with_ink_are_lines_without_rulings_dust_and_pictures() -> None:
    page = Image.new("L", (600, 400), 255)
    draw = ImageDraw.Draw(page)
    for left in (20, 40, 300, 322):
        draw.rectangle((left, 50, left + 11, 69), fill=0)
    draw.rectangle((0, 120, 599, 122), fill=0)
    draw.rectangle((50, 200, 250, 380), fill=0)
    rest = blanked(page, [(300, 50, 334, 70)], 28)
    assert inked_places(np.asarray(rest) < 128, 28) == [(20, 50, 52, 70)]
    assert len(inked_places(np.asarray(page) < 128, 28)) == 2


@pytest.mark.parametrize("degrees", [-3, 2])
def test_fragments_come_back_to_where_they_were_on_the_slope(degrees: float) -> None:
    level = Image.new("L", (800, 600), 255)
    ImageDraw.Draw(level).rectangle((500, 100, 560, 120), fill=0)
    sloping = level.rotate(-degrees, Image.Resampling.BICUBIC, fillcolor=255)
    straight = Straight.of(sloping, math.radians(degrees))
    left, top, right, bottom = straight.image.point(lambda grey: 255 - grey).point(
        lambda dark: 255 if dark > 200 else 0
    ).getbbox() or (0, 0, 0, 0)
    box = (float(left), float(top), float(right), float(bottom))
    found = straight.back(Fragment((FragmentWord("x", box),), box))
    ink = sloping.point(lambda grey: 255 if grey < 55 else 0).getbbox()
    assert found.box == pytest.approx(ink, abs=3)
    assert found.angle == pytest.approx(math.radians(degrees))
