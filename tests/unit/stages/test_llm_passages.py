"""Cutting pages into chunks."""

from hypothesis import given
from hypothesis import strategies as st

from stages.endpoint.passages import chunks, halves
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


@given(st.lists(TEXT, min_size=1, max_size=5), st.lists(st.integers(0, 300), min_size=5, max_size=5))
def test_chunks_keep_to_the_tokens_of_their_pages(texts: list[str], tokens: list[int]) -> None:
    pages = recognised(*texts).pages
    sizes = [count if text else 0 for text, count in zip(texts, tokens, strict=False)]
    for chunk in chunks(pages, LIMIT, sizes):
        parts = [span.size * sizes[span.page - 1] / len(texts[span.page - 1]) for span in chunk]
        assert sum(parts) <= LIMIT + 1e-6 or (len(chunk) == 1 and chunk[0].size == 1)


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_halves_hold_all_of_a_chunk_and_are_both_shorter(texts: list[str]) -> None:
    pages = recognised(*texts).pages
    for chunk in chunks(pages, 60):
        parts = halves(chunk, {page.number: page for page in pages}, 2)
        if parts is None:
            assert sum(span.size for span in chunk) < 2
            continue
        first, second = ("".join(texts[s.page - 1][s.start : s.end] for s in part) for part in parts)
        assert first
        assert second
        assert first + second == "".join(texts[s.page - 1][s.start : s.end] for s in chunk)


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
