"""The `rules` engine: every rule over one text, and of mentions that overlap the surer one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.ner import (
    address,
    date,
    iban,
    institution,
    money,
    organisation,
    person,
    phone,
    place,
    reference,
    vat,
    web,
)
from stages.ner.hints import Hints
from stages.ner.span import Span, settle

ENGINE = "rules 2"


@dataclass(frozen=True, slots=True)
class Rules:
    """The engine."""

    hints: Hints
    name: str = ENGINE

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return the mentions in each text."""
        return [find(text, self.hints) for text in texts]


def find(text: str, hints: Hints) -> list[Span]:
    """Return the mentions in a text, by their place.

    No two overlap, but for places (LOC) inside an ADDRESS. A mention may go over a line break. The
    time that it takes grows in proportion to the text, whatever is in it.
    """
    return settle(_spans(text, hints))


def _spans(text: str, hints: Hints) -> Iterator[Span]:
    yield from web.find(text)
    yield from iban.find(text)
    yield from vat.find(text)
    yield from money.find(text)
    yield from date.find(text, month_first=hints.month_first)
    yield from reference.find(text)
    yield from phone.find(text, hints.regions)
    yield from address.find(text)
    yield from organisation.find(text)
    yield from institution.find(text)
    yield from person.find(text)
    yield from place.find(text)
