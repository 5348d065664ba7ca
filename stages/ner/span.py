"""A found mention, by its place in the text that was searched, and which of two that overlap wins."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

# The surer a rule's evidence (a checksum, a shape that nothing else has), the earlier its label.
RANKS = (
    ("EMAIL", "IBAN"),
    ("URL", "VAT_ID"),
    ("ADDRESS",),
    ("MONEY", "REFERENCE"),
    ("DATE",),
    ("PHONE",),
    ("ORG", "PERSON"),
    ("LOC",),
)
_RANK = {label: rank for rank, labels in enumerate(RANKS) for label in labels}
LABELS = frozenset(_RANK)
"""Those of the rules; patterns and models may have others, which come last."""


@dataclass(frozen=True, slots=True)
class Span:
    """One mention; `start` and `end` are character offsets, half open, and `end` > `start`."""

    label: str
    start: int
    end: int
    score: float
    """0 to 1: 0.9 and more for what a checksum or a label confirms, 0.6 for a guess by shape."""
    normalized: str | None = None
    engines: tuple[str, ...] = ()
    """Who found it, with version; the first one's reading was taken."""
    fixed: bool = False
    """Found by a pattern of the user's own: whatever else overlaps it gives way."""

    def moved(self, by: int) -> "Span":
        """Return the same mention in a text that has `by` more characters before it."""
        return replace(self, start=self.start + by, end=self.end + by)

    def overlaps(self, other: "Span") -> bool:
        """Return whether both share a character."""
        return self.start < other.end and other.start < self.end


def resolve(spans: Iterable[Span]) -> list[Span]:
    """Return spans of which no two overlap, by their place.

    Of two that overlap, a fixed one stays, then the one of the surer label, then the longer, the
    likelier, the earlier.
    """
    kept: list[Span] = []
    for span in sorted(spans, key=_preference):
        position = bisect_right(kept, span.start, key=lambda other: other.start)
        free_before = position == 0 or kept[position - 1].end <= span.start
        free_after = position == len(kept) or span.end <= kept[position].start
        if free_before and free_after:
            kept.insert(position, span)
    return kept


def settle(spans: Iterable[Span]) -> list[Span]:
    """Return spans by their place, of which no two overlap, but for places (LOC) inside an ADDRESS."""
    every = list(spans)
    others = resolve(span for span in every if not _is_place(span))
    addresses = [span for span in others if span.label == "ADDRESS"]
    flat = resolve(
        [
            *(span for span in others if span.label != "ADDRESS"),
            *(span for span in every if _is_place(span) and not _crosses(span, addresses)),
        ]
    )
    return sorted([*addresses, *flat], key=lambda span: (span.start, -span.end))


def _is_place(span: Span) -> bool:
    return span.label == "LOC" and not span.fixed


def _crosses(place: Span, addresses: Sequence[Span]) -> bool:
    """Return whether the place lies partly inside one of the addresses, partly outside."""
    address = last_before(place.end, addresses)
    if address is None or address.end <= place.start:
        return False
    return not address.start <= place.start < place.end <= address.end


def last_before(end: int, spans: Sequence[Span]) -> Span | None:
    """Return the last of the spans, which are in order of their starts, that begins before `end`."""
    position = bisect_right(spans, end - 1, key=lambda span: span.start) - 1
    return spans[position] if position >= 0 else None


def _preference(span: Span) -> tuple[bool, int, int, float, int]:
    rank = _RANK.get(span.label, len(RANKS))
    return not span.fixed, rank, span.start - span.end, -span.score, span.start
