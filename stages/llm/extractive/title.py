"""A document's title: the first line that looks like a heading."""

import re

from stages.llm.extractive.facts import Facts, Line

_LINES = 25
"""Lines of the head that may hold the title."""
_WORDS = 14
_NOT_A_TITLE = ("DATE", "PHONE", "EMAIL", "URL", "IBAN", "VAT_ID", "ADDRESS", "MONEY")
_LETTERS = re.compile(r"[^\W\d_]")


def title(facts: Facts) -> str | None:
    """Return the tallest heading-like line of the head, the first one among equals; None without one.

    Without word boxes every line is equally tall.
    """
    candidates = [line for line in facts.lines[:_LINES] if _is_heading(line, facts)]
    if not candidates:
        return None
    tallest = max(candidates, key=lambda line: round(_height(line)))
    return " ".join(tallest.text.split())[:200]


def _is_heading(line: Line, facts: Facts) -> bool:
    text = line.text
    letters = len(_LETTERS.findall(text))
    return (
        len(text.split()) <= _WORDS
        and letters >= 4
        and letters >= 0.6 * len(text.replace(" ", ""))
        and (text[0].isupper() or text[0].isdigit())
        and text[-1] not in ",;:.-"
        and not facts.on(line, *_NOT_A_TITLE)
    )


def _height(line: Line) -> float:
    """Return the mean height of the line's words, in the page's units."""
    heights = [
        word.box[3] - word.box[1]
        for word in line.page.words
        if line.start <= word.start and word.end <= line.end
    ]
    return sum(heights) / len(heights) if heights else 0
