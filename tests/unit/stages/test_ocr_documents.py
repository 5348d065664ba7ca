"""Types, told by content, and files that cannot be read."""

import os
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import docx
import numpy as np
import pytest
from PIL import Image

from pipeline import PermanentError
from stages.ocr import reader
from stages.ocr.reader import Source, read_page
from stages.ocr.settings import PageSettings
from stages.outputs import Page
from tests.ocr_documents import SENTENCES, draw_pdf, picture_of, write_lines

SETTINGS = PageSettings()


def saved(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def inspect(path: str, settings: PageSettings = SETTINGS) -> Source:
    return reader.inspect(path, settings)


def read(path: str, number: int = 1) -> Page:
    return read_page(inspect(path), number, PageSettings())


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_images_are_known_by_their_content(tmp_path: Path, format_: str) -> None:
    source = inspect(saved(tmp_path / "misnamed.pdf", encoded(picture_of("x", size=(90, 90)), format_)))
    assert (source.media_type, source.pages, source.engine) == ("image", 1, "pillow")


def test_photo_is_turned_as_its_orientation_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = picture_of(SENTENCES[0], size=(960, 740)).transpose(Image.Transpose.ROTATE_90)
    page = read(saved(tmp_path / "photo", encoded(photo, "JPEG", exif=exif)))
    assert (page.text, page.width, page.height) == (SENTENCES[0], 960, 740)


def test_every_frame_of_a_tiff_is_a_page(tmp_path: Path) -> None:
    frames = [picture_of(line, size=(960, 740)).convert("1") for line in SENTENCES[:2]]
    content = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="group4")
    source = inspect(saved(tmp_path / "fax", content))
    assert source.pages == 2
    texts = [read_page(source, number, PageSettings()).text for number in (2, 1)]
    assert texts == [SENTENCES[1], SENTENCES[0]]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "I;16", "CMYK"])
def test_colour_modes(tmp_path: Path, mode: str) -> None:
    picture = picture_of(SENTENCES[1], size=(960, 740))
    if mode == "RGBA":
        ink = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        ink.putalpha(picture.convert("L").point(lambda level: 255 - level))
        picture = ink
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 16)
    else:
        picture = picture.convert(mode)
    assert read(saved(tmp_path / "image", encoded(picture, "TIFF"))).text == SENTENCES[1]


def test_blank_image_is_an_empty_page(tmp_path: Path) -> None:
    page = read(saved(tmp_path / "blank", encoded(Image.new("L", (600, 400), 255), "PNG")))
    assert (page.method, page.text, page.width, page.height) == ("empty", "", 600, 400)


@pytest.mark.parametrize(
    ("content", "text", "engine"),
    [
        ("Grüße\r\naus Köln".encode(), "Grüße\naus Köln", "text"),
        ("Grüße".encode("utf-8-sig"), "Grüße", "text"),
        ("Grüße".encode("utf-16"), "Grüße", "text"),
        ("Grüße".encode("utf-16-be").join([b"\xfe\xff", b""]), "Grüße", "text"),
        ("Grüße für 5 €".encode("cp1252"), "Grüße für 5 €", "text (cp1252)"),
    ],
)
def test_encodings_of_plain_text(tmp_path: Path, content: bytes, text: str, engine: str) -> None:
    path = saved(tmp_path / "letter", content)
    assert (read(path).text, read(path).method, inspect(path).engine) == (text, "text", engine)


def test_form_feeds_part_the_pages_of_plain_text(tmp_path: Path) -> None:
    path = saved(tmp_path / "listing", b"one\n\ftwo\f\n\ffour\f")
    assert inspect(path).pages == 4
    assert [read(path, number).text for number in (1, 2, 3, 4)] == ["one", "two", "", "four"]
    assert read(path, 3).method == "empty"


def test_word_document_with_table_and_header(tmp_path: Path) -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Harbour office"
    document.add_paragraph("Fees from April on")
    table = document.add_table(2, 3)
    for cell, text in zip((cell for row in table.rows for cell in row.cells), "ABC123", strict=True):
        cell.text = text
    table.rows[1].cells[0].merge(table.rows[1].cells[1])
    document.add_paragraph("Paid in advance")
    document.save(str(tmp_path / "fees"))
    source = inspect(str(tmp_path / "fees"))
    assert (source.media_type, source.engine) == ("docx", "docx")
    assert read(str(tmp_path / "fees")).text == (
        "Harbour office\n\nFees from April on\n\nA\tB\tC\n1 2\t3\n\nPaid in advance"
    )


def archive(**files: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "/") + ".xml", content)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and ends there."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc + b"\0\0\0\0IDAT" + bytes(4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty: submit a file"),
        (b"GIF89a" + bytes(60), "submit PDF, PNG, JPEG, TIFF, WebP, BMP, DOCX, EML, HTML and plain text"),
        (b"\x7fELF" + bytes(60), "submit PDF"),
        (b"%PDF-1.7\nThis is not one.", "broken or cut short"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "save it as DOCX without a password"),
        (b"PK\x03\x04" + bytes(60), "broken or cut short archive"),
        (archive(xl__workbook=b"<workbook/>"), "not DOCX: submit PDF"),
        (archive(word__document=b"<broken"), "the DOCX is broken"),
        (archive(word__document=bytes(201_000_000)), "remove pictures"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "the image is broken"),
        (encoded(picture_of("x"), "PNG")[:900], "the image is broken"),
        (encoded(picture_of("x"), "JPEG")[:2000], "the image is broken"),
        (encoded(picture_of("x"), "TIFF")[:500], "the image is broken"),
        (png_header(40_000, 40_000), "scale it down to at most 120 megapixels"),
        (png_header(12_000, 12_000), "scale it down to at most 120 megapixels"),
        (b"plain \x81 text", "save it as UTF-8"),
        (b"text " * 2_000_001, "split it"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, content: bytes, words: str) -> None:
    path = saved(tmp_path / "document", content)
    with pytest.raises(PermanentError, match=words):
        read(path)


def test_encrypted_pdf(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "secret.pdf", lambda canvas: write_lines(canvas, SENTENCES), password="key")
    with pytest.raises(PermanentError, match="encrypted: give its `password`"):
        inspect(str(path))


def test_truncated_pdf(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "whole.pdf", lambda canvas: write_lines(canvas, SENTENCES))
    with pytest.raises(PermanentError, match="broken or cut short"):
        inspect(saved(tmp_path / "half.pdf", path.read_bytes()[:400]))


def test_changed_file_at_the_same_path_is_read_anew(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", b"tide")
    assert read(path).text == "tide"
    saved(tmp_path / "a", b"wave")
    os.utime(path, ns=(1, 1))
    assert read(path).text == "wave"


@pytest.mark.parametrize(
    ("turn", "size", "place"),
    [
        (Image.Transpose.ROTATE_90, (700, 960), (40, 910)),
        (Image.Transpose.ROTATE_180, (960, 700), (910, 660)),
        (Image.Transpose.ROTATE_270, (700, 960), (660, 50)),
    ],
)
def test_scan_that_lies_on_its_side_or_head(
    tmp_path: Path, turn: Image.Transpose, size: tuple[int, int], place: tuple[int, int]
) -> None:
    scan = picture_of(*SENTENCES[:3], size=(960, 700)).transpose(turn)
    page = read(saved(tmp_path / "scan", encoded(scan, "PNG")))
    assert page.text.split("\n") == list(SENTENCES[:3])
    assert (page.width, page.height) == size
    # The text begins 50 pixels from the left and 40 from the top of the scan before it was turned.
    left, top, right, bottom = page.words[0].box
    assert left - 12 <= place[0] <= right + 12
    assert top - 12 <= place[1] <= bottom + 12
