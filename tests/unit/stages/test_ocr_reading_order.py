import math
import random
from dataclasses import replace

import pytest

from stages.ocr.fragment import Fragment, FragmentWord
from stages.ocr.page_text import page_of

SENTENCES = [
    "It has been a winter of wind on the coast",
    "and the sea wall held by a hand and a half",
    "because the clay had been laid in October",
    "and the willow mats had been pinned in time",
    "so that nobody had to leave the lower farm",
    "while the surge ran over the outer meadows",
    "and took eleven metres of turf and a fence",
    "before it turned at four in the morning",
]


def fragment(text: str, left: float, top: float, *, height: float = 20, angle: float = 0.0) -> Fragment:
    """A line that is half as wide a character as it is high, turned around the origin."""
    width = len(text) * height / 2

    def turned(x: float, y: float) -> tuple[float, float]:
        return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)

    def box(start: float, end: float) -> tuple[float, float, float, float]:
        xs, ys = zip(*(turned(x, y) for x in (start, end) for y in (top, top + height)), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    words, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        start = left + position * height / 2
        words.append(FragmentWord(word, box(start, start + len(word) * height / 2)))
        position += len(word)
    return Fragment(tuple(words), box(left, left + width), angle)


def column(name: str, left: float, top: float, rows: int, *, angle: float = 0.0) -> list[Fragment]:
    return [
        fragment(f"{name} {SENTENCES[row % len(SENTENCES)]}", left, top + row * 26, angle=angle)
        for row in range(rows)
    ]


def read(fragments: list[Fragment]) -> list[str]:
    """The lines of the page, whatever order the fragments come in."""
    shuffled = random.Random(7).sample(fragments, len(fragments))
    page = page_of(1, shuffled, (2000, 2000), "ocr")
    return [line for line in page.text.split("\n") if line]


def texts(*parts: list[Fragment]) -> list[str]:
    return [each.text for part in parts for each in part]


@pytest.mark.parametrize("degrees", [0, 1.5, -3])
def test_two_columns_are_read_one_after_the_other(degrees: float) -> None:
    angle = math.radians(degrees)
    left, right = (column(name, x, 200, 12, angle=angle) for name, x in (("L", 100), ("R", 640)))
    assert read(left + right) == texts(left, right)


def test_a_long_line_near_the_gutter_does_not_part_its_column() -> None:
    left, right = column("L", 100, 200, 8), column("R", 640, 210, 8)
    left[4] = fragment("the line that ends next to the gutter, as it is long", 100, 200 + 4 * 26)
    assert read(left + right) == texts(left, right)


@pytest.mark.parametrize("count", [3, 4])
def test_more_columns_are_read_one_after_the_other(count: int) -> None:
    columns = [column(f"C{number}", 50 + 520 * number, 200, 10) for number in range(count)]
    assert read([each for one in columns for each in one]) == texts(*columns)


def test_heading_across_columns_parts_what_is_above_from_what_is_below() -> None:
    above = [column(name, x, 100, 6) for name, x in (("A", 100), ("B", 640))]
    heading = [fragment("The whole repair will cost more than anybody had expected this year", 200, 300)]
    below = [column(name, x, 360, 6) for name, x in (("C", 100), ("D", 640))]
    assert read([*above[0], *above[1], *heading, *below[0], *below[1]]) == texts(*above, heading, *below)


def test_columns_of_different_length_with_paragraphs_at_one_height() -> None:
    left = column("L1", 100, 100, 9) + column("L2", 100, 400, 9)
    right = column("R1", 640, 100, 9) + column("R2", 640, 400, 3)
    assert read(left + right) == texts(left, right)


def test_heading_over_two_of_three_columns_does_not_divide_the_third() -> None:
    above = [column(name, x, 100, 6) for name, x in (("A", 50), ("B", 570))]
    heading = [fragment("A heading that stands over the first two columns only", 100, 300, height=26)]
    below = [column(name, x, 360, 6) for name, x in (("C", 50), ("D", 570))]
    third = column("E", 1090, 100, 16)
    assert read([*above[0], *above[1], *heading, *below[0], *below[1], *third]) == texts(
        *above, heading, *below, third
    )


def test_letterhead_wider_than_the_column_below_it() -> None:
    name = [
        fragment("The Saltmarsh Trust in Norfolk", 300, 60, height=44),
        fragment("Registered charity", 300, 104),
    ]
    address = [
        fragment(line, 1000, 40 + 27 * row)
        for row, line in enumerate(
            ("3 Sluice Road", "Norwich NR1 9ZD", "Norfolk", "office@saltmarsh.example")
        )
    ]
    left, right = (column(letter, x, 300, 12) for letter, x in (("L", 100), ("R", 640)))
    assert read(name + address + left + right) == texts(name, address, left, right)


def test_long_labels_of_paragraphs_stay_beside_their_first_lines() -> None:
    labels = [fragment(f"Obligations of the party {number}", 100, 100 + 104 * number) for number in range(4)]
    text = column("T", 500, 100, 16)
    expected = [
        f"{labels[row // 4].text}\t{line.text}" if row % 4 == 0 else line.text
        for row, line in enumerate(text)
    ]
    assert read(labels + text) == expected


def test_heading_right_above_its_text_is_a_block_of_its_own() -> None:
    page = page_of(
        1, [fragment("The sea wall", 100, 68, height=31), *column("A", 100, 100, 4)], (900, 900), "ocr"
    )
    assert page.text.startswith("The sea wall\n\nA It has")


def test_table_stays_in_rows_with_cells_parted_by_tabs() -> None:
    rows = [
        ("Article", "Description", "Qty", "Amount"),
        ("BW-2210", "Conductivity meter", "2", "1,368.00"),
        ("BW-0318", "Flow cell, borosilicate", "6", "711.00"),
        ("BW-4471", "Peristaltic pump", "1", "1,249.00"),
        ("BW-0902", "Silicone tubing", "4", "147.00"),
    ]
    cells = [
        fragment(cell, left, 100 + 30 * number)
        for number, row in enumerate(rows)
        for cell, left in zip(row, (100, 300, 700, 800), strict=True)
    ]
    assert read(cells) == ["\t".join(row) for row in rows]


def test_labels_with_long_values_stay_in_rows() -> None:
    rows = [
        ("Lender", SENTENCES[0]),
        ("Borrower", SENTENCES[1]),
        ("Term", SENTENCES[2]),
        ("Fee", SENTENCES[3]),
    ]
    cells = [
        fragment(text, left, 100 + 30 * number)
        for number, row in enumerate(rows)
        for text, left in zip(row, (100, 400), strict=True)
    ]
    assert read(cells) == ["\t".join(row) for row in rows]


def test_letterhead_and_address_beside_it_are_not_mixed() -> None:
    name = [fragment("The Saltmarsh Trust", 100, 60, height=44), fragment("Registered charity", 100, 118)]
    address = [
        fragment(line, 1200, 40 + 27 * row)
        for row, line in enumerate(
            ("Warden's House, 3 Sluice Road", "Norwich NR1 9ZD", "office@saltmarsh.example")
        )
    ]
    body = [fragment(f"{one} {SENTENCES[0]} {SENTENCES[1]}", 100, 300 + 26 * one) for one in range(8)]
    assert read(name + address + body) == texts(name, address, body)


def test_pieces_of_one_line_are_joined_by_spaces() -> None:
    pieces = [fragment("The sea wall", 100, 100), fragment("held", 232, 103), fragment("because", 286, 99)]
    assert read(pieces) == ["The sea wall held because"]


def test_wide_row_of_a_skewed_page_is_one_row() -> None:
    angle = math.radians(2)
    cells = [
        fragment(text, left, 500, angle=angle)
        for text, left in (("Total", 100), ("due", 700), ("9.50", 1400))
    ]
    assert read(cells) == ["Total\tdue\t9.50"]


def test_blocks_are_parted_where_rows_are_further_apart() -> None:
    page = page_of(1, column("A", 100, 100, 4) + column("B", 100, 240, 3), (1000, 1000), "ocr")
    first, second = page.blocks
    assert page.text[first.start : first.end].startswith("A It has")
    assert page.text[second.start : second.end].startswith("B It has")
    assert page.text[first.end : second.start] == "\n\n"
    assert first.box == (100, 100, 550, 198)


def test_words_are_found_at_their_offsets() -> None:
    page = page_of(1, column("L", 100, 100, 8) + column("R", 640, 100, 8), (2000, 2000), "ocr")
    assert len(page.words) == len(page.text.split())
    assert all(page.text[word.start : word.end] == word.text for word in page.words)


def test_confidence_is_weighted_by_length() -> None:
    words = (FragmentWord("a", (0, 0, 5, 9), 0.5), FragmentWord("bcd", (9, 0, 24, 9), 0.9))
    assert page_of(1, [Fragment(words, (0, 0, 24, 9))], (50, 50), "ocr").confidence == 0.8


def test_no_fragments_make_an_empty_page() -> None:
    page = page_of(3, [], (50, 60), "ocr")
    assert (page.number, page.method, page.text, page.width, page.height) == (3, "empty", "", 50, 60)


@pytest.mark.parametrize("degrees", [-1.5, 1.5])
def test_rows_tell_a_slope_that_recognised_angles_understate(degrees: float) -> None:
    angle = math.radians(degrees)
    address = [
        fragment(f"{line} of the Saltmarsh Trust", 100, 200 + 27 * row, angle=angle)
        for row, line in enumerate(("The Warden", "3 Sluice Road", "Norwich", "Norfolk", "England"))
    ]
    labels = [
        fragment(text, left, 200 + 30 * row, angle=angle)
        for row, line in enumerate(
            ("Number\tBW-417", "Date\t16 March", "Due\t15 April", "Order\tPO-8", "You\t104")
        )
        for text, left in zip(line.split("\t"), (1000, 1300), strict=True)
    ]
    table = [
        fragment(cell, left, 500 + 30 * row, angle=angle)
        for row in range(6)
        for cell, left in ((f"{row}.", 100), ("Flow cell", 160), ("118.50", 1000), ("711.00", 1300))
    ]
    seen = [replace(each, angle=0.83 * each.angle) for each in (*address, *labels, *table)]
    assert read(seen)[:5] == texts(address)
    page = page_of(1, seen, (2000, 2000), "ocr")
    assert page.skew == pytest.approx(degrees, abs=0.03)


def test_page_number_below_the_gutter_does_not_hide_it() -> None:
    # Justified: no line ends before the others.
    left = [fragment(f"{row} {SENTENCES[0]}", 100, 200 + row * 26) for row in range(8)]
    right = column("R", 560, 200, 8)
    number = fragment("Page 2", max(each.box[2] for each in left) + 2, 600)
    assert read([*left, *right, number]) == texts(left, right, [number])
