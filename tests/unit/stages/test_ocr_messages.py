"""E-mails with their attachments, HTML, and encrypted PDFs with their password."""

from email.message import EmailMessage
from pathlib import Path

import pytest

from pipeline import PermanentError, run_stage
from pipeline.errors import PartError
from stages.ocr import OcrParams, ocr
from stages.ocr.reader import inspect, read_page
from stages.ocr.settings import PageSettings
from stages.outputs import OcrOutput
from tests.ocr_documents import SENTENCES, draw_pdf, picture_of, write_lines

SETTINGS = PageSettings()


def message(text: str = "Please find the papers below.") -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Jörg Brandt <j.brandt@quay.example>"
    made["To"] = "office@harbour.example"
    made["Subject"] = "Größen der Boote"
    made["Date"] = "Mon, 02 Mar 2026 09:30:00 +0100"
    made.set_content(text)
    return made


def saved(folder: Path, made: EmailMessage) -> Path:
    (folder / "mail").write_bytes(made.as_bytes())
    return folder / "mail"


def pdf(folder: Path, *lines: str) -> bytes:
    pages = [lambda canvas, line=line: write_lines(canvas, (line,)) for line in lines]
    return draw_pdf(folder / "a.pdf", *pages).read_bytes()


def attach(made: EmailMessage, content: bytes, name: str) -> None:
    made.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)


async def read(path: Path, **params: str) -> OcrOutput:
    output = await run_stage(ocr, path, params=OcrParams.model_validate(params))
    assert isinstance(output, OcrOutput)
    return output


async def test_attachments_are_further_pages(tmp_path: Path) -> None:
    forwarded = message("The first offer.")
    attach(forwarded, b"berth\tfee\n", "fees.txt")
    made = message()
    attach(made, pdf(tmp_path, *SENTENCES[:2]), "rules.pdf")
    attach(made, b"\0\1\2\3", "key.bin")
    picture_of(SENTENCES[2], size=(960, 400)).save(tmp_path / "photo.png")
    attach(made, (tmp_path / "photo.png").read_bytes(), "photo.png")
    made.add_attachment(forwarded)
    output = await read(saved(tmp_path, made))
    assert [(page.number, page.attachment, page.method) for page in output.pages] == [
        (1, None, "text"),
        (2, "rules.pdf", "text-layer"),
        (3, "rules.pdf", "text-layer"),
        (4, "photo.png", "ocr"),
        (5, "message/rfc822", "text"),
        (6, "fees.txt", "text"),
    ]
    assert output.pages[0].text == (
        "From: Jörg Brandt <j.brandt@quay.example>\nTo: office@harbour.example\n"
        "Date: Mon, 02 Mar 2026 09:30:00 +0100\nSubject: Größen der Boote\n\n"
        "Please find the papers below.\n\nAttachments: rules.pdf, key.bin, photo.png, message/rfc822"
    )
    assert [page.text for page in output.pages[1:4]] == list(SENTENCES[:3])
    assert output.pages[5].text == "berth\tfee"
    assert (await read(saved(tmp_path, made), pages="3")).text == SENTENCES[1]


async def test_broken_attachment_fails_as_a_page_that_says_why(tmp_path: Path) -> None:
    made = message()
    attach(made, b"%PDF-1.7 and no more", "cut.pdf")
    with pytest.raises(PartError, match="page 2 failed") as caught:
        await read(saved(tmp_path, made))
    assert "the PDF is broken or cut short" in str(caught.value.__cause__)


def test_message_in_html_only(tmp_path: Path) -> None:
    made = message()
    made.set_content("<p>Dear Ms&nbsp;Roe,</p><p>see you<br>soon.", subtype="html")
    source = inspect(str(saved(tmp_path, made)), SETTINGS)
    text = read_page(source, 1, SETTINGS).text
    assert (source.media_type, source.engine) == ("message", "email")
    assert text.endswith("\n\nDear Ms\xa0Roe,\n\nsee you\nsoon.")


@pytest.mark.parametrize(
    "content",
    [
        b"MIME-Version: 1.0\nContent-Type: text/plain; charset=nonsense\n\nfa\xfcr",
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed\n\nfa\xfcr",
        b"Message-ID: <\nSubject: =?utf-8?b?!!?=\nContent-Transfer-Encoding: base64\n\n////fa",
        b"Received: x\nFrom: =?x?q?=ff?= <\xff\nTo: a@[b\nDate: never\n\n",
    ],
)
def test_damaged_messages_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mail").write_bytes(content)
    source = inspect(str(tmp_path / "mail"), SETTINGS)
    assert source.media_type == "message"
    assert read_page(source, 1, SETTINGS).number == 1


def test_letter_that_begins_like_a_message_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("From: the warden\nTo: all\nSubject: keys\n\nBring them back.")
    assert inspect(str(tmp_path / "a.txt"), SETTINGS).media_type == "text"


PAGE = """<!-- made by hand -->
<!DOCTYPE html><html><head><title>Fees</title><style>p {color: red}</style></head>
<body><script>alert("no")</script><h1>Fees &amp;
 dues</h1><div>From   <b>Apr</b>il on</div><div style="display: none">hidden</div>
<table><tr><th>Boat</th><th>Fee</th></tr><tr><td>Sloop<br>small</td><td>10,50&nbsp;€</td></tr></table>
<ul><li>Paid monthly</li><li>In advance</ul><pre>a
  b</pre><p hidden>no</p>
<table><tr><td><p>Left</p><p>side</p></td><td><table><tr><td>x</td><td>y</td></tr></table></td></tr></table>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_html_is_read_as_it_is_shown(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "page").write_bytes(PAGE.encode(encoding))
    source = inspect(str(tmp_path / "page"), SETTINGS)
    assert (source.media_type, source.engine) == ("html", "html")
    assert read_page(source, 1, SETTINGS).text == (
        "Fees & dues\n\nFrom April on\n\nBoat\tFee\nSloop small\t10,50\xa0€\n\nPaid monthly\nIn advance\n\n"
        "a\n  b\n\nLeft\n\nside\n\nx\ty"
    )


def test_html_says_how_it_is_encoded(tmp_path: Path) -> None:
    content = '<html><head><meta charset="iso-8859-5"></head><body>Порт</body></html>'
    (tmp_path / "page").write_bytes(content.encode("iso-8859-5"))
    assert read_page(inspect(str(tmp_path / "page"), SETTINGS), 1, SETTINGS).text == "Порт"


def test_html_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<html>" + "<div>" * 100_000 + "deep")
    source = inspect(str(tmp_path / "page"), SETTINGS)
    try:
        assert read_page(source, 1, SETTINGS).text in ("", "deep")
    except PermanentError as error:
        assert "the HTML is broken" in str(error)  # noqa: PT017 -- both are answers; libxml2's limit decides


async def test_encrypted_pdf_with_its_password(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lambda canvas: write_lines(canvas, SENTENCES), password="kéy")
    assert (await read(path, password="kéy")).text == "\n".join(SENTENCES)
    with pytest.raises(PermanentError, match="the given password does not open it"):
        await read(path, password="other")
    assert "kéy" not in repr(OcrParams.model_validate({"password": "kéy"}).settings())
