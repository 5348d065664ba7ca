"""The findings of several engines as one list, with who found what."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

from stages.ner.span import Span, settle


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the spans settled, each with all engines that found something of its label there.

    The likeliest of them gives the score; a value that the one kept lacks is taken from another that
    marked the same characters.
    """
    every = sorted(spans, key=lambda span: span.start)
    kept = settle(every)
    if len({span.engines for span in every}) < 2:
        return kept
    longest = max(span.end - span.start for span in every)
    return [_confirmed(span, _near(every, span, longest)) for span in kept]


def _near(every: list[Span], span: Span, longest: int) -> list[Span]:
    """Return the spans of the same label that overlap this one; `every` is in order of the starts."""
    first = bisect_left(every, span.start - longest, key=lambda other: other.start)
    last = bisect_left(every, span.end, key=lambda other: other.start)
    return [other for other in every[first:last] if other.label == span.label and other.overlaps(span)]


def _confirmed(span: Span, same: list[Span]) -> Span:
    engines = dict.fromkeys([*span.engines, *(engine for other in same for engine in other.engines)])
    alike = [other for other in same if (other.start, other.end) == (span.start, span.end)]
    values = [each.normalized for each in (span, *alike) if each.normalized is not None]
    return replace(
        span,
        engines=tuple(engines),
        score=max(each.score for each in (span, *same)),
        normalized=values[0] if values else None,
    )
