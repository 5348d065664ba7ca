"""Sentences of a document's prose; headings, tables and addresses have none."""

import re
from collections.abc import Iterator, Sequence

from stages.outputs import Page

# Not a bare number: `14 January` starts no clause.
_NUMBERED = r"(?:\(\w{1,3}\)|\d{1,2}(?:\.\d{1,2})+\.?|\d{1,2}\.)[ \t]+(?=[A-ZÀ-Ý])"
_PARAGRAPH = re.compile(rf"\n[ \t]*\n|\n(?={_NUMBERED})")
_HYPHEN = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")
_END = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)]*\s+(?=[\"'\u201c\u2018(]?[A-ZÀ-Ý0-9])")
# Full stops after these end no sentence; nor do those after a single letter or a number.
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Inc|Ltd|Co|Corp|vs|approx|e\.g|i\.e|etc|Art|Abs|attn)|\b[A-Z]|\b\d+)\.$"
)
_CLAUSE = re.compile(f"^{_NUMBERED}")
_SHORTEST = 6
"""Words of a sentence."""


def sentences(pages: Sequence[Page]) -> list[str]:
    """Return the sentences in order, each on one line, without the numbers of clauses.

    A paragraph that a column or a page ends goes on in the next one that starts with a small letter.
    A clause's number starts a paragraph, whether or not the recogniser saw a gap before it.
    """
    found = (_CLAUSE.sub("", each) for paragraph in _paragraphs(pages) for each in _split(paragraph))
    return [each for each in found if _is_sentence(each)]


def _paragraphs(pages: Sequence[Page]) -> Iterator[str]:
    pending = ""
    for page in pages:
        for raw in _PARAGRAPH.split(page.text):
            paragraph = " ".join(_HYPHEN.sub("", raw).split())
            if pending and paragraph[:1].islower() and pending[-1] not in ".!?:":
                pending = f"{pending} {paragraph}"
            elif paragraph:
                if pending:
                    yield pending
                pending = paragraph
    if pending:
        yield pending


def _split(paragraph: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(paragraph):
        before = paragraph[start : match.start()]
        if _ABBREVIATION.search(before):
            continue
        yield paragraph[start : match.end()].strip()
        start = match.end()
    yield paragraph[start:].strip()


def _is_sentence(text: str) -> bool:
    words = text.split()
    letters = sum(each.isalpha() or each.isspace() for each in text)
    return (
        len(words) >= _SHORTEST
        and text.rstrip("\"'\u201d\u2019)")[-1:] in {".", "!", "?"}
        and (text[0].isupper() or not text[0].isalpha())
        and letters >= 0.8 * len(text)
    )
