"""The extractive engine on the examples' truth and on small documents of other kinds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import run_stage
from stages.llm import LlmParams, llm
from stages.llm.extractive import extract
from stages.outputs import LlmOutput, NerOutput, OcrOutput, Page, Usage
from tests.llm_documents import entities, example, recognised, truth

EXAMPLES = ("invoice.pdf", "receipt.jpg", "contract.pdf", "letter.tiff", "minutes.docx")
CHECKED = {
    "invoice.pdf": (
        *("invoice_number", "issue_date", "due_date", "total", "currency"),
        *("seller", "buyer", "iban", "vat_id"),
    ),
    "receipt.jpg": ("merchant", "date", "total", "currency", "vat_id"),
    "contract.pdf": ("parties", "effective_date", "governing_law", "reference", "signatories"),
    "letter.tiff": ("sender", "organization", "date", "subject", "reference"),
    "minutes.docx": ("organization", "date", "chair", "reference", "next_meeting"),
}


def read(*texts: str, found: tuple[tuple[str, str, int | None], ...] = (), **params: object) -> LlmOutput:
    text = recognised(*texts)
    return extract("a.pdf", text, entities(text, found), LlmParams.model_validate(params))


def values(output: LlmOutput) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in output.fields:
        found.setdefault(field.name, []).append(field.value)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_read_right(name: str) -> None:
    known = truth(name)
    output = extract(name, *example(name), LlmParams())
    assert output.type == known["type"]
    found = values(output)
    for field in CHECKED[name]:
        expected = known["fields"][field]
        if field == "iban":
            expected = expected.replace(" ", "")
        assert found.get(field) == (expected if isinstance(expected, list) else [expected]), field


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_field_of_an_example_is_quoted_from_its_page_and_has_a_box(name: str) -> None:
    text, found = example(name)
    output = extract(name, text, found, LlmParams())
    assert output.fields
    for field in output.fields:
        assert field.page is not None
        assert field.quote is not None
        assert field.quote in text.pages[field.page - 1].text
        assert field.box is not None
        assert field.grounded


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("contract.pdf", "Archive Services Agreement"),
        ("letter.tiff", "The sea wall, the spoonbills and the year ahead"),
        ("minutes.docx", "Minutes of the Quarterly Operations Meeting"),
        ("receipt.jpg", "Quayside Grocers"),
        ("invoice.pdf", f"Invoice {truth('invoice.pdf')['fields']['invoice_number']}"),
    ],
)
def test_titles(name: str, title: str) -> None:
    assert extract(name, *example(name), LlmParams()).title == title


def test_the_invoice_summary_is_made_of_its_fields() -> None:
    output = extract("invoice.pdf", *example("invoice.pdf"), LlmParams())
    expected = (
        "Invoice {invoice_number} from {seller} to {buyer} of {issue_date} over {currency} {total}, due on "
    )
    assert output.summary == f"{expected}{{due_date}}.".format(**truth("invoice.pdf")["fields"])


def test_prose_is_summed_up_in_its_own_sentences() -> None:
    text, found = example("letter.tiff")
    output = extract("letter.tiff", text, found, LlmParams(summary_sentences=2))
    whole = " ".join(text.text.replace("-\n", "").split())
    first, second = output.summary.replace(". ", ".\n").split("\n")
    assert first in whole
    assert second in whole
    assert whole.index(first) < whole.index(second)


async def test_the_stage_marks_its_output_as_extractive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLRACE_LLM_BASE_URL", raising=False)
    file = tmp_path / "receipt.jpg"
    file.write_bytes(b"x")
    output = await run_stage(llm, file, earlier=example("receipt.jpg"), processes=1)
    assert isinstance(output, LlmOutput)
    assert (output.engine, output.model, output.usage) == ("extractive", None, Usage())
    assert output.type == "receipt"


@pytest.mark.parametrize("texts", [("",), (" \n\n", "\t"), ()])
def test_a_document_without_text_says_so(texts: tuple[str, ...]) -> None:
    output = read(*texts)
    assert (output.type, output.title, output.fields) == ("other", "a", [])
    assert output.summary == "The document has no text."


def test_a_document_of_no_known_type_is_other() -> None:
    output = read("Shopping list\n\nApples\nPears")
    assert output.type == "other"
    assert output.title == "Shopping list"
    assert "Shopping list" in output.summary


def test_only_wanted_fields_are_given() -> None:
    text, found = example("invoice.pdf")
    output = extract("invoice.pdf", text, found, LlmParams(fields=["total", "iban"]))
    assert {field.name for field in output.fields} == {"total", "iban"}
    assert "BW-2026-00417" in output.summary


def test_a_label_in_another_column_is_joined_with_its_value_by_their_row() -> None:
    text = recognised("Invoice\nInvoice date\nDue date\n\n1 May 2026\n2 June 2026\n\nIBAN BIC Qty")
    places = {"1": (200.0, 14.0, 260.0, 24.0), "2": (200.0, 28.0, 260.0, 38.0)}
    found = entities(text, [("DATE", "1 May 2026", None), ("DATE", "2 June 2026", None)])
    for entity in found.entities:
        entity.box = places[entity.text[0]]
    output = values(extract("a.pdf", text, found, LlmParams()))
    assert (output["issue_date"], output["due_date"]) == (["2026-05-01"], ["2026-06-02"])


@pytest.mark.parametrize(
    ("lines", "total", "currency"),
    [
        ("Subtotal 90,00 €\nMwSt 19 % 17,10 €\nGesamtbetrag 1.107,10 €", "1107.10", "EUR"),
        ("Net total 100.00\nTotal incl. VAT 119.00\nUSD", "119.00", "USD"),
        ("Total 50.00\nDiscount 5.00\nAmount due GBP 45.00\nTotal saving 5.00", "45.00", "GBP"),
        ("Total CHF 1'234.50", "1234.50", "CHF"),
        ("Items total 12 pieces\nTotal\nTotal $1,234", "1234.00", "USD"),
    ],
)
def test_totals(lines: str, total: str, currency: str) -> None:
    output = values(read(f"Invoice\nInvoice number 7/22\n{lines}"))
    assert (output["total"], output["currency"]) == ([total], [currency])


def test_an_invoice_without_a_total_has_no_total() -> None:
    assert "total" not in values(read("Invoice\nInvoice number 7\nPlease pay the total by 15 April 2026"))


def test_labelled_parties_go_before_the_order_of_names() -> None:
    output = values(
        read(
            "Invoice\nBill to:\nAlder Ltd, Leeds\n\nIssued by Birch GmbH\n\nInvoice number 12-9",
            found=(("ORG", "Alder Ltd", None), ("ORG", "Birch GmbH", None)),
        )
    )
    assert (output["seller"], output["buyer"]) == (["Birch GmbH"], ["Alder Ltd"])


def test_a_german_letter() -> None:
    output = read(
        "Kanzlei Erle\n\n3. Mai 2026\n\nBetreff: Ihr Schreiben vom April\n\nSehr geehrte Frau Weide,\n\n"
        "vielen Dank für Ihr Schreiben.\n\nMit freundlichen Grüßen\nJonas Erle, Rechtsanwalt",
        found=(("PERSON", "Jonas Erle", None), ("ORG", "Kanzlei Erle", None)),
    )
    assert output.type == "letter"
    found = values(output)
    assert found["subject"] == ["Ihr Schreiben vom April"]
    assert found["recipient"] == ["Frau Weide"]
    assert found["sender"] == ["Jonas Erle"]


def test_a_contract_term_and_law_are_quoted() -> None:
    output = read(
        "Lease Agreement\n\nThis Agreement is made between Alder Ltd and Birch plc. Either party shall "
        "give notice.\n\nIt runs for a period of\ntwenty-four (24) months and is governed by the law of "
        "Scotland.",
        found=(("ORG", "Alder Ltd", None), ("ORG", "Birch plc", None)),
    )
    fields = {field.name: field for field in output.fields}
    assert fields["term"].value == "twenty-four (24) months"
    assert fields["term"].quote == "for a period of\ntwenty-four (24) months"
    assert fields["governing_law"].value == "Scotland"


def test_outputs_of_the_stages_before_may_be_bare() -> None:
    text = OcrOutput.model_validate(
        {
            "text": "Invoice number 55-1\nTotal EUR 5.00",
            "engine": "x",
            "pages": [{"number": 1, "method": "text", "text": "Invoice number 55-1\nTotal EUR 5.00"}],
        }
    )
    output = extract("a.txt", text, NerOutput(entities=[], engine="x"), LlmParams())
    assert values(output)["total"] == ["5.00"]
    assert all(field.box is None for field in output.fields)


def test_a_british_letter_has_its_subject_after_the_salutation_and_no_organisation_of_its_own() -> None:
    output = read(
        "Jane Weir\n9 Castle Road\nYork\n\n21 May 2026\n\nNorthern Rail Ltd\nLeeds\n\nDear Sir or Madam,\n\n"
        "Delayed train on 12 May\n\nI am writing to complain.\n\nYours faithfully,\n\nJane Weir",
        found=(
            ("ORG", "Northern Rail Ltd", None),
            ("PERSON", "Jane Weir", None),
            ("DATE", "21 May 2026", None),
        ),
    )
    assert output.title == "Delayed train on 12 May"
    found = values(output)
    assert (found["sender"], found["date"], found["recipient"]) == (
        ["Jane Weir"],
        ["2026-05-21"],
        ["Sir or Madam"],
    )
    assert "organization" not in found


def test_a_memo_is_from_whom_it_says() -> None:
    output = read(
        "To: Jo Blake\nFrom: Karen Li, Facilities\nSubject: Parking\n\nPark elsewhere until Monday.",
        found=(("PERSON", "Jo Blake", None), ("PERSON", "Karen Li", None)),
    )
    found = values(output)
    assert (output.type, found["sender"], found["subject"]) == ("letter", ["Karen Li"], ["Parking"])


def test_a_german_invoice() -> None:
    output = read(
        "Erle GmbH\n\nAn\nWeide AG\n\nRechnung\n\nRechnungsnummer: RE-2026/118\nRechnungsdatum: 04.05.2026\n"
        "Zahlbar bis 18.05.2026\nSumme netto 880,50 €\nzzgl. 19 % MwSt. 167,30 €\nGesamtbetrag 1.047,80 €",
        found=(
            *(("ORG", "Erle GmbH", None), ("ORG", "Weide AG", None)),
            *(("DATE", "04.05.2026", None), ("DATE", "18.05.2026", None)),
        ),
    )
    assert output.title == "Invoice RE-2026/118"
    assert {name: value for name, (value,) in values(output).items()} == {
        "invoice_number": "RE-2026/118",
        "issue_date": "04.05.2026",
        "due_date": "18.05.2026",
        "total": "1047.80",
        "currency": "EUR",
        "seller": "Erle GmbH",
        "buyer": "Weide AG",
    }


WORDS = st.sampled_from(
    (
        *(
            "Invoice",
            "number",
            "Total",
            "due",
            "by",
            "Dear",
            "Re:",
            "between",
            "laws of",
            "Signed by",
            "Chair",
        ),
        *(
            "EUR",
            "1.234,50",
            "12",
            "$",
            "Alder Ltd",
            "3 May 2026",
            "DE123456788",
            "\n",
            "\n\n",
            "(a)",
            ".",
            "-",
        ),
    )
)


@given(st.lists(st.lists(WORDS, max_size=25), min_size=1, max_size=3))
def test_whatever_the_text_fields_quote_it(pages: list[list[str]]) -> None:
    texts = [" ".join(words) for words in pages]
    found = (("ORG", "Alder Ltd", None), ("DATE", "3 May 2026", None), ("VAT_ID", "DE123456788", None))
    output = read(*texts, found=found)
    assert output.title
    assert output.summary
    for field in output.fields:
        assert field.page is not None
        assert field.quote is not None
        assert field.quote in texts[field.page - 1]


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "part",
    [
        " ",
        "a",
        "1 111",
        "total 1,",
        "Total due ",
        "invoice no: ",
        ". (",
        "a-\n",
        "\n ",
        "laws of A ",
        "term of a ",
    ],
)
def test_work_grows_with_the_text_and_not_with_its_square(part: str) -> None:
    size = 400_000
    page = Page(number=1, text="x\n" + (part * size)[:size], method="text")
    text = OcrOutput(text=page.text, pages=[page], engine="x")
    output = extract("a.txt", text, NerOutput(entities=[], engine="x"), LlmParams())
    assert output.engine == "extractive"
