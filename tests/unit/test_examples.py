"""The example documents are what truth.json says, and what the script in examples/draw makes."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
from docx import Document
from docx.table import Table
from PIL import Image

from examples import draw
from examples.draw import contract, invoice, letter, minutes, receipt, scanner
from examples.draw.truth import Example, Truth

FOLDER = Path(draw.__file__).parents[1]
TRUTH = json.loads((FOLDER / "truth.json").read_text("utf-8"))


def words(file: str) -> list[list[str]]:
    return [page["text"].split() for page in TRUTH[file]["pages"]]


@pytest.fixture
def pdf() -> Iterator[Callable[[str], pdfium.PdfDocument]]:
    opened: list[pdfium.PdfDocument] = []

    def open_pdf(file: str) -> pdfium.PdfDocument:
        opened.append(pdfium.PdfDocument(FOLDER / file))
        return opened[-1]

    yield open_pdf
    for document in opened:
        document.close()


def text_layer(page: pdfium.PdfPage) -> str:
    text: str = page.get_textpage().get_text_bounded()
    return text


def test_the_script_knows_what_truth_json_says() -> None:
    assert draw.truth() == (FOLDER / "truth.json").read_text("utf-8")


def test_there_is_a_file_for_each_truth() -> None:
    assert {each.file for each in draw.EXAMPLES} == set(TRUTH)
    assert all((FOLDER / file).stat().st_size > 1000 for file in TRUTH)


def test_invoice_has_its_text(pdf: Callable[[str], pdfium.PdfDocument]) -> None:
    pages = [text_layer(page).split() for page in pdf("invoice.pdf")]
    assert pages == words("invoice.pdf")


def test_contract_is_images_only(pdf: Callable[[str], pdfium.PdfDocument]) -> None:
    pages = list(pdf("contract.pdf"))
    assert len(pages) == len(words("contract.pdf")) == 12
    for page in pages:
        (image,) = page.get_objects()
        assert isinstance(image, pdfium.PdfImage)
        assert image.get_filters() == ["DCTDecode"]
        assert text_layer(page) == ""


def test_receipt_is_a_colour_photo() -> None:
    with Image.open(FOLDER / "receipt.jpg") as photo:
        assert (photo.format, photo.mode) == ("JPEG", "RGB")
    assert len(words("receipt.jpg")) == 1


def test_letter_is_a_black_and_white_fax_of_two_pages() -> None:
    with Image.open(FOLDER / "letter.tiff") as fax:
        assert getattr(fax, "n_frames", 1) == len(words("letter.tiff")) == 2
        for frame in range(2):
            fax.seek(frame)
            assert (fax.mode, fax.info["compression"]) == ("1", "group4")
            assert fax.info["dpi"] == (letter.DPI, letter.DPI)


def test_minutes_have_their_text() -> None:
    blocks = Document(str(FOLDER / "minutes.docx")).iter_inner_content()
    said = " ".join(rows(block) if isinstance(block, Table) else block.text for block in blocks)
    assert [said.split()] == words("minutes.docx")


def rows(table: Table) -> str:
    return " ".join(cell.text for row in table.rows for cell in row.cells)


@pytest.mark.parametrize("file", TRUTH)
def test_every_entity_stands_on_its_page(file: str) -> None:
    pages = [" ".join(page) for page in words(file)]
    assert TRUTH[file]["entities"]
    for entity in TRUTH[file]["entities"]:
        assert entity["text"] in pages[entity["page"] - 1]


def test_a_part_of_a_longer_mention_is_no_mention() -> None:
    pages = ["paid to Grebe Bank plc", "Grebe said so"]
    said = Truth("letter", pages, [("ORG", "Grebe"), ("ORG", "Grebe Bank plc")], {}).as_json()
    assert [(each["text"], each["page"]) for each in said["entities"]] == [
        ("Grebe Bank plc", 1),
        ("Grebe", 2),
    ]


def test_a_mention_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="Heron"):
        Truth("letter", ["no bird"], [("LOC", "Heron")], {}).as_json()


@pytest.mark.parametrize("example", [invoice.EXAMPLE, minutes.EXAMPLE], ids=["invoice", "minutes"])
def test_documents_are_made_the_same_every_time(example: Example) -> None:
    assert example.content() == example.content()


def test_contract_scan_is_of_these_pages(pdf: Callable[[str], pdfium.PdfDocument]) -> None:
    (image,) = pdf("contract.pdf")[0].get_objects()
    kept = image.get_bitmap().to_pil().convert("L")
    assert difference(kept, contract.scanned(0)) < 5
    assert difference(kept, contract.scanned(1)) > 10


def test_letter_scan_is_of_these_pages() -> None:
    with Image.open(FOLDER / "letter.tiff") as fax:
        assert difference(fax.convert("L"), letter.scanned(0).convert("L")) < 5


def test_receipt_photo_is_of_this_receipt() -> None:
    with Image.open(FOLDER / "receipt.jpg") as kept, Image.open(BytesIO(receipt.content())) as made:
        assert difference(kept, made) < 5


def test_scans_of_other_seeds_differ() -> None:
    page = Image.new("L", (300, 400), 255)
    page.paste(0, (60, 60, 240, 80))
    assert difference(scanner.scan(page, seed=1), scanner.scan(page, seed=1)) == 0
    assert difference(scanner.scan(page, seed=1), scanner.scan(page, seed=2)) > 1


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean over the pixels, of 255; both pictures have one size."""
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())
