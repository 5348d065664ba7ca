"""Sentences, their ranks, and telling types of documents apart."""

import pytest

from stages.llm.extractive.classify import document_type
from stages.llm.extractive.sentences import sentences
from stages.llm.extractive.textrank import MAX_SENTENCES, best_sentences
from tests.llm_documents import recognised


def split(*texts: str) -> list[str]:
    return sentences(recognised(*texts).pages)


def test_sentences_go_on_over_lines_columns_and_pages() -> None:
    text = "Notes\n\nDr. A. Alder wrote the first agree-\nment in No. 5 of May. It was never signed by\n\n"
    assert split(text, "anybody who could have done so.\n\nTotal 5.00\n\nKind regards") == [
        "Dr. A. Alder wrote the first agreement in No. 5 of May.",
        "It was never signed by anybody who could have done so.",
    ]


def test_a_clause_starts_a_paragraph_but_a_date_does_not() -> None:
    assert split("Background\n(A) The Client owns many old maps of\n14 June towns and wants copies.") == [
        "The Client owns many old maps of 14 June towns and wants copies."
    ]


def test_numbers_of_clauses_are_no_part_of_a_sentence() -> None:
    assert split(
        "12.3 The Supplier keeps the records safe always.\n\n(b) The Client pays for it every month."
    ) == [
        "The Supplier keeps the records safe always.",
        "The Client pays for it every month.",
    ]


def test_tables_and_headings_have_no_sentences() -> None:
    assert split("Article 5 6.00 7.00 8.00 9.00 10.\n\nA heading of seven words without end") == []


def test_the_sentence_that_shares_most_words_ranks_first() -> None:
    text = [
        "Weather was fine on that particular morning.",
        "The bridge needs repair before winter floods arrive.",
        "Winter floods damaged the northern bridge pillars.",
        "Repair money covers bridge pillars only.",
        "Lunch consisted largely of cheese sandwiches.",
    ]
    assert best_sentences(text, 1) == [text[1]]


def test_few_sentences_are_all_given_and_none_for_none() -> None:
    assert best_sentences(["One.", "Two."], 3) == ["One.", "Two."]
    assert best_sentences([], 3) == []
    assert best_sentences(["One.", "Two."], 0) == []


def test_sentences_without_a_word_in_common_are_taken_from_the_start() -> None:
    assert best_sentences(["Alpha alder.", "Beta birch.", "Gamma grass."], 2) == [
        "Alpha alder.",
        "Beta birch.",
    ]


def test_a_long_text_is_ranked_by_its_first_part() -> None:
    text = [f"Sentence number{chr(97 + number % 26)} {number}." for number in range(MAX_SENTENCES)]
    assert not set(best_sentences([*text, *["Sentence numbera again."] * 50], 5)) - set(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rechnung\nRechnungsnummer 5\nZahlbar bis 3. Mai", "invoice"),
        ("Corner Shop\nReceipt 12\nCash 5.00\nChange 0.10\nThank you for your visit", "receipt"),
        ("Tenancy agreement\nThe parties shall keep the premises. Governing law: Scotland", "contract"),
        ("Contract about invoices. " * 3 + "The parties shall hereby invoice each other. " * 30, "contract"),
        ("Dear Ms Weir,\nyour invoice has been paid.\nYours sincerely", "letter"),
        ("Annual report\nIntroduction\nFindings\nConclusions", "report"),
        ("To: Staff\nFrom: Jo\nSubject: Parking\n\nPark elsewhere.", "letter"),
        ("We reported the bonfire to the tillers.", "other"),
        ("Apples and pears. " * 30 + "One invoice.", "other"),
        ("", "other"),
    ],
)
def test_types(text: str, expected: str) -> None:
    assert document_type(text) == expected
