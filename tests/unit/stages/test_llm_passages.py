"""Cutting pages into chunks."""

from hypothesis import given
from hypothesis import strategies as st

from stages.llm.passages import chunks
from tests.llm_documents import recognised

LIMIT = 20
TEXT = st.text(st.sampled_from("ab \n"), max_size=90)


@given(st.lists(TEXT, max_size=5))
def test_chunks_hold_all_the_text_in_order_and_no_more_than_the_limit(texts: list[str]) -> None:
    pages = recognised(*texts).pages
    made = chunks(pages, LIMIT)
    assert all(1 <= sum(span.size for span in chunk) <= LIMIT for chunk in made)
    spans = [span for chunk in made for span in chunk]
    read = "".join(texts[span.page - 1][span.start : span.end] for span in spans)
    assert "".join(read.split()) == "".join("".join(texts).split())
    assert spans == sorted(spans, key=lambda span: (span.page, span.start))


def test_pages_that_fit_share_a_chunk() -> None:
    pages = recognised("a" * 8, "b" * 8, "c" * 8).pages
    assert [[span.page for span in chunk] for chunk in chunks(pages, LIMIT)] == [[1, 2], [3]]


def test_a_long_page_is_cut_between_words() -> None:
    page = recognised("one two three four five six").pages
    assert [(span.start, span.end) for (span,) in chunks(page, LIMIT)] == [(0, 19), (19, 27)]


def test_empty_pages_are_left_out() -> None:
    assert [[span.page for span in chunk] for chunk in chunks(recognised("", "a", " \n").pages, LIMIT)] == [
        [2]
    ]
