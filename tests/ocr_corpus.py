"""Documents that are made to do harm, and what becomes of each."""

import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path

import docx
from PIL import Image

from tests.ocr_documents import SENTENCES, draw_pdf, picture_of, write_lines

MANY = 100_000


def peak_memory() -> int:
    """Bytes of memory that this process has had at most; its parent's are not among them, as in `rusage`."""
    told = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert told is not None
    return int(told[1]) * 1024


def saved_image(format_: str) -> bytes:
    stream = BytesIO()
    picture_of(SENTENCES[0], size=(960, 400)).save(stream, format_)
    return stream.getvalue()


def bomb_png(side: int) -> bytes:
    """A whole, valid PNG of side x side white pixels: a few hundred kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    packed, row = zlib.compressobj(9), b"\0" + b"\xff" * (side // 8)
    rows = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bomb_tiff() -> bytes:
    """A fax of 256 million white pixels."""
    stream = BytesIO()
    Image.new("1", (16_000, 16_000), 1).save(stream, "TIFF", compression="group4")
    return stream.getvalue()


def endless_tiff() -> bytes:
    """A TIFF the directory of which says that the next one is itself."""
    content = bytearray(saved_image("TIFF"))
    (at,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, at)
    struct.pack_into("<I", content, at + 2 + 12 * entries, at)
    return bytes(content)


def pdf_of(objects: list[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1; the first one is its catalogue."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    packed = zlib.compress(content, 1)
    return b"<< /Filter /FlateDecode /Length %d %s >>\nstream\n%s\nendstream" % (len(packed), entries, packed)


def one_page_pdf(content: bytes, resources: bytes, *more: bytes) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << %s >> >>"
    catalogue = b"<< /Type /Catalog /Pages 2 0 R >>"
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return pdf_of([catalogue, pages, page % resources, stream(content), *more])


def bomb_pdf_image() -> bytes:
    """A page with a picture of 1.6 thousand million pixels, packed twice."""
    row = bytes(1_000_000)
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(row) for _ in range(200)) + packed.flush()
    twice = zlib.compress(rows, 9)
    entries = (
        b"<< /Type /XObject /Subtype /Image /Width 40000 /Height 40000 /BitsPerComponent 1 "
        b"/ColorSpace /DeviceGray /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%s\nendstream"
    )
    return one_page_pdf(
        b"q 600 0 0 800 0 0 cm /Im Do Q", b"/XObject << /Im 5 0 R >>", entries % (len(twice), twice)
    )


def bomb_pdf_forms() -> bytes:
    """A page that paints a form ten times, which paints another ten times, and so on: 10 ** 5 letters."""
    forms = []
    for depth in range(6):
        last = depth == 5
        inner = b"BT /F 9 Tf (x) Tj ET " if last else b"/X Do " * 10
        resources = b"/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
        if not last:
            resources = b"/XObject << /X %d 0 R >>" % (6 + depth)
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << %s >>" % resources
        forms.append(stream(inner, entries))
    return one_page_pdf(b"/X Do", b"/XObject << /X 5 0 R >>", *forms)


def pdf_of_many_pages() -> bytes:
    """A hundred thousand pages, all of them the same object's."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] >>"
    kids = b"3 0 R " * MANY
    pages = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, MANY)
    return pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", pages, page])


def pdf_that_lies_about_its_pages() -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] >>"
    pages = b"<< /Type /Pages /Kids [3 0 R 2 0 R] /Count 2000000000 >>"
    return pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", pages, page])


def archive(**files: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "/") + ".xml", content)
    return packed.getvalue()


def billion_laughs(root: str) -> bytes:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><{root}>&e9;</{root}>'.encode()


def docx_of_laughs() -> bytes:
    whole = BytesIO()
    docx.Document().save(whole)
    changed = BytesIO()
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, billion_laughs("w") if name == "word/document.xml" else content)
    return changed.getvalue()


def mail(*attachments: bytes) -> bytes:
    made = EmailMessage()
    made["Subject"] = "papers"
    made.set_content("below")
    for each in attachments:
        made.add_attachment(each, maintype="application", subtype="octet-stream", filename="a")
    return made.as_bytes()


def nested_mail(depth: int) -> bytes:
    content = b"MIME-Version: 1.0\nSubject: innermost\n\nend"
    for _ in range(depth):
        content = b"MIME-Version: 1.0\nContent-Type: message/rfc822\n\n" + content
    return content


def encrypted_pdf(folder: Path) -> bytes:
    path = draw_pdf(folder / "e.pdf", lambda canvas: write_lines(canvas, SENTENCES), password="key")
    return path.read_bytes()


Made = Callable[[], bytes]


def spoiled(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Return documents that are cut short, locked, empty or not what they seem, with words of the errors."""
    pdf = draw_pdf(folder / "a.pdf", lambda canvas: write_lines(canvas, SENTENCES)).read_bytes()
    word = BytesIO()
    docx.Document().save(word)
    whole = {each: saved_image(each) for each in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")}
    cut = {
        f"cut {name}": (content[: len(content) // 2], "image is broken") for name, content in whole.items()
    }
    heads = {
        f"{name} in name only": (content[:12] + b"plain text" * 9, "broken|of no type")
        for name, content in whole.items()
    }
    return {
        **cut,
        **heads,
        "cut PDF": (pdf[: len(pdf) // 2], "|the PDF is broken or cut short"),
        "cut DOCX": (word.getvalue()[:9000], "broken or cut short archive"),
        "PDF in name only": (b"%PDF-1.7\n" + whole["PNG"], "the PDF is broken or cut short"),
        "DOCX in name only": (archive(xl__workbook=b"<workbook/>"), "an archive, but not DOCX"),
        "locked PDF": (encrypted_pdf(folder), "give its `password`"),
        "locked DOCX": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900), "without a password"),
        "nothing": (b"", "the document is empty"),
        "a program": (b"\x7fELF" + bytes(90), "of no type that is read here"),
    }


BOMBS: dict[str, tuple[Made, str]] = {
    "png bomb": (lambda: bomb_png(16_000), "the image is too large"),
    "tiff bomb": (bomb_tiff, "the image is too large"),
    "endless tiff": (endless_tiff, "|at most 5,000 are read|broken"),
    "pdf image bomb": (bomb_pdf_image, "|broken|out of memory|killed|took"),
    "pdf stream bomb": (
        lambda: one_page_pdf(b" " * 200_000_000 + b"Q", b""),
        "|broken|out of memory|killed|took",
    ),
    "pdf form bomb": (bomb_pdf_forms, "|characters|broken|killed|took"),
    "docx bomb": (lambda: archive(word__document=bytes(201_000_000)), "remove pictures"),
    "docx of entities": (docx_of_laughs, "the DOCX is broken"),
    "html of entities": (lambda: b"<html>" + billion_laughs("b"), "|the HTML is broken"),
    "mail in mail in mail": (lambda: nested_mail(5_000), "|broken"),
    "mail of many": (lambda: mail(*[b"x"] * 101), "at most 100"),
    "mail with a bomb": (lambda: mail(bomb_png(16_000)), "the image is too large"),
    "text of many pages": (lambda: b"x\f" * MANY, "100,000 pages and at most 5,000 are read"),
    "pdf of many pages": (pdf_of_many_pages, "100,000 pages and at most 5,000 are read"),
    "pdf that lies about its pages": (pdf_that_lies_about_its_pages, "|at most 5,000 are read|broken"),
}
"""Documents, and words of the errors; nothing before the first bar: it may also be read."""
