"""Finding a model's quotes in the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.llm.answer import AnswerField
from stages.llm.evidence import Evidence
from tests.llm_documents import CHARACTER, recognised


def grounded(*texts: str, quote: str, page: int | None = 1) -> tuple[bool, int | None, str | None]:
    field = AnswerField(name="Due Date", value="x", page=page, quote=quote)
    (found,) = Evidence(recognised(*texts).pages).grounded([field])
    assert found.name == "due_date"
    return found.grounded, found.page, found.quote


@pytest.mark.parametrize(
    ("text", "quote", "original"),
    [
        ("Total  due\nEUR 5", "Total due EUR 5", "Total  due\nEUR 5"),
        (
            "the \u201cSupplier\u201d \u2013 Alder\u2019s",
            '"Supplier" - Alder\'s',
            "\u201cSupplier\u201d \u2013 Alder\u2019s",
        ),
        ("a total of 5", " total\tof ", "total of"),
        ("\u5408\u8a08\u91d1\u984d\u306f5\u5186", "\u91d1\u984d", "\u91d1\u984d"),
        ("10 100 10", "10", "10"),
    ],
)
def test_quotes_are_found_in_the_words_of_the_text(text: str, quote: str, original: str) -> None:
    assert grounded(text, quote=quote) == (True, 1, original)


@pytest.mark.parametrize("quote", ["total of 6", "1", "201", "", "...", "TOTAL OF 5"])
def test_what_is_not_there_is_not_grounded(quote: str) -> None:
    assert grounded("a total of 5 in 2019 ...", quote=quote) == (False, 1, quote or None)


def test_another_page_than_the_model_says() -> None:
    assert grounded("one", "two", quote="two", page=1) == (True, 2, "two")
    assert grounded("one", "two", quote="two", page=None) == (True, 2, "two")
    assert grounded("same", "same", quote="same", page=2) == (True, 2, "same")
    assert grounded("one", quote="two", page=7) == (False, None, "two")


def test_the_box_goes_around_the_quoted_words_only() -> None:
    place = Evidence(recognised("pay EUR 5.00 now").pages).find("EUR 5.00", 1)
    assert place is not None
    assert place.box == (4 * CHARACTER, 0, 12 * CHARACTER, 10)


def test_no_box_without_words() -> None:
    pages = recognised("pay now").pages
    pages[0].words = []
    place = Evidence(pages).find("pay", 1)
    assert place is not None
    assert place.box is None


@given(st.text(st.sampled_from("ab1 \n\u2019\u2013.\u00e9"), max_size=40), st.data())
def test_every_run_of_words_of_a_text_is_found(text: str, data: st.DataObject) -> None:
    words = text.split()
    if not words:
        return
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    quote = " ".join(words[first:last])
    place = Evidence(recognised(text).pages).find(quote, 1)
    if any(each.isalnum() for each in quote):
        assert place is not None
        assert place.page.text[place.start : place.end].split() == words[first:last]
    else:
        assert place is None
