"""What holds for any text: it ends, soon, and what it gives is well formed."""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.ner import engine, location, part, repeats, rules
from stages.ner.hints import Given, Hints, read
from stages.ner.span import LABELS, Span, settle
from stages.outputs import OcrOutput, Page, Word

HINTS = Hints(regions=("US", "GB", "DE"))
PIECES = [
    *(
        "DE89 3704 0044 0532 0130 00",
        "DE136695976",
        "€",
        "EUR",
        "1,234.50",
        "1.234",
        "-",
        "12/03/2026",
        "March",
        "MÄRZ",
    ),
    *(
        "12",
        "2026",
        "12. ",
        "Tel.",
        "+49 30 123456",
        "(217) 555-0142",
        "a@b.example",
        "https://",
        "www.x.example",
    ),
    *(
        "Invoice No.",
        "RF18 5390",
        "A-1/2",
        "HRB 1234",
        "GmbH",
        "& Co. KG",
        "Ltd",
        "AG",
        "Bank",
        "of",
        "The",
        "Acme",
    ),
    *(
        "Mr",
        "Dear",
        "signed by",
        "Anna",
        "Keller",
        "J.",
        "van",
        "Berlin",
        "New",
        "York",
        "Germany",
        "Lindenstr. 2",
    ),
    *(
        "7 Mill Row",
        "LS1 4QT",
        "10115",
        "IL 62704",
        "Augu\u017ft",
        "Apr\u0130l",
        "m\u0130llion",
        "\u0661\u0662",
        "\u212a",
    ),
    *(" ", "\n", "\n\n", "\t", "\u00a0", "\f", "\r", ",", ".", ":", "(", ")", "\0", "\ufffd", "\ud800"),
]
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES)).map("".join),
    st.lists(st.sampled_from(PIECES)).map(" ".join),
)


def check(text: str, spans: list[Span]) -> None:
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        assert span.label in LABELS
        assert 0 <= span.score <= 1
    for place, span in enumerate(spans):
        for other in spans[place + 1 :]:
            inside = (span.label, other.label) == ("ADDRESS", "LOC") and other.end <= span.end
            assert span.end <= other.start or inside, (span, other)


@given(TEXTS)
def test_any_text_gives_spans_that_fit_it(text):
    hints = read(text, Given())
    spans = rules.find(text, hints)
    check(text, spans)
    check(text, repeats.complete(text, spans))


@example([Span("ADDRESS", 0, 10, 0.5), Span("LOC", 2, 6, 0.5), Span("LOC", 8, 14, 0.5)])
@given(
    st.lists(
        st.builds(
            lambda label, start, length: Span(label, start, start + length, 0.5),
            st.sampled_from(sorted(LABELS)),
            st.integers(0, 30),
            st.integers(1, 12),
        )
    )
)
def test_settled_spans_overlap_only_as_the_labels_allow(spans):
    settled = settle(spans)
    check("x" * 50, settled)
    assert settle(settled) == settled
    assert set(settled) <= set(spans)
    # Nothing is left out for no reason.
    for span in set(spans) - set(settled):
        assert any(span.start < other.end and other.start < span.end for other in settled)


@given(st.lists(TEXTS.filter(lambda text: "\f" not in text), min_size=1, max_size=3), st.data())
def test_an_entity_has_the_text_of_its_span_and_the_box_of_its_words(texts, data):
    pages, start = [], 0
    for number, text in enumerate(texts, 1):
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
        words = [
            Word(text=text[a:b], start=a, end=b, box=(a, number, b, number + 1)) for a, b in pairwise(cuts)
        ]
        pages.append(Page(number=number, text=text, method="text", start=start, words=words))
        start += len(text) + 1
    output = OcrOutput(text="\f".join(texts), pages=pages, engine="text")
    location.check(output)
    pieces = part.split(pages)
    found = engine.find("rules", [piece.text for piece in pieces], engine.Options(hints=HINTS))
    spans = [
        span.moved(piece.start) for piece, spans in zip(pieces, found.spans, strict=True) for span in spans
    ]
    for entity in location.entities(output, spans):
        page = pages[entity.page - 1]
        assert output.text[entity.start : entity.end] == entity.text
        assert page.start <= entity.start < entity.end <= page.start + len(page.text)
        first, last = entity.start - page.start, entity.end - page.start
        boxes = [word.box for word in page.words if word.start < last and first < word.end]
        around = (
            (min(b[0] for b in boxes), page.number, max(b[2] for b in boxes), page.number + 1)
            if boxes
            else None
        )
        assert entity.box == around


@given(st.text(alphabet="ab \n", max_size=300), st.integers(10, 40))
def test_pieces_put_together_are_the_page(text, longest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "LONGEST", longest)
        pieces = part.split([Page(number=1, text=text, method="text", start=5)])
    assert "".join(piece.text for piece in pieces) == text
    assert all(len(piece.text) <= longest for piece in pieces)
    assert [piece.start for piece in pieces] == [
        5 + sum(len(before.text) for before in pieces[:index]) for index in range(len(pieces))
    ]


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1 ",
        "1,111",
        "1.",
        "A",
        "A-",
        "Aa-Aa",
        "Aa Aa AG ",
        "a@a.",
        "www.",
        "(",
        "\n",
        "12345 Aa ",
        "Aa\n",
        "€1",
        "+1",
    ],
)
def test_the_work_grows_with_the_text_and_not_with_its_square(piece):
    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        times = []
        for _ in range(2):
            start = time.process_time()
            repeats.complete(text, rules.find(text, HINTS))
            times.append(time.process_time() - start)
        return min(times)

    # Eight times the text: about 8 times the work, where a quadratic rule would take 64 times.
    assert seconds(32_000) < 24 * max(seconds(4_000), 0.002)
