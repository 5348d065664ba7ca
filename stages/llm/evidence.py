"""Checks a model's quotes against the text, and finds their place on the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.endpoint.json_schema import leaves
from stages.llm.answer import AnswerField
from stages.outputs import Box, DocumentField, Page

# Characters that models write as their plain relatives; one for one, so that offsets stay.
_PLAIN = str.maketrans(
    "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u2010\u2011\u2012\u2013\u2014\u2212", "''''\"\"\"------"
)
# From here on scripts write words without spaces (Thai, Chinese, Japanese …).
_UNSPACED = 0x0E00
_LITERAL, _REWORDED, _INVENTED = 1.0, 0.75, 0.25
"""How far a quote bears out its value, see `DocumentField.confidence`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a quote stands: a half-open span of a page's text."""

    page: Page
    start: int
    end: int

    @property
    def box(self) -> Box | None:
        """Around the words of the span; None where the page has no word boxes there."""
        return box_around(self.page, self.start, self.end)


class _Plain:
    """A text with runs of white space as one blank, and the way back to its own offsets."""

    def __init__(self, text: str) -> None:
        kept: list[str] = []
        self.offsets: list[int] = []
        for offset, character in enumerate(text.translate(_PLAIN)):
            if character.isspace():
                if not kept or kept[-1] == " ":
                    continue
                character = " "
            kept.append(character)
            self.offsets.append(offset)
        self.text = "".join(kept)


class Evidence:
    """The pages of a document, searchable for quotes."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = {page.number: page for page in pages}
        self._plain: dict[int, _Plain] = {}

    def find(self, quote: str, page: int | None) -> Place | None:
        """Return where a quote occurs, white space and kinds of dashes and quotes aside.

        The page that the model named is searched first, then the others: models miscount pages.
        Only whole words count, so that `1` is no evidence taken out of `2019`.
        """
        wanted = _Plain(quote).text.strip()
        if not any(character.isalnum() for character in wanted):
            return None
        order = [page] if page in self._pages else []
        for number in [*order, *(each for each in self._pages if each != page)]:
            place = self._on(self._pages[number], wanted)
            if place is not None:
                return place
        return None

    def _on(self, page: Page, wanted: str) -> Place | None:
        plain = self._plain.get(page.number)
        if plain is None:
            plain = self._plain[page.number] = _Plain(page.text)
        at = plain.text.find(wanted)
        while at >= 0:
            end = at + len(wanted)
            if not (_inside_word(plain.text, at) or _inside_word(plain.text, end)):
                return Place(page, plain.offsets[at], plain.offsets[end - 1] + 1)
            at = plain.text.find(wanted, at + 1)
        return None

    def grounded(self, fields: Iterable[AnswerField]) -> list[DocumentField]:
        """Return the fields with their places; `grounded` is false where the quote is not in the text."""
        return [self._field(_identifier(each.name), each.value, each.quote, each.page) for each in fields]

    def of_data(self, data: Mapping[str, Any], given: Iterable[AnswerField]) -> list[DocumentField]:
        """Return a field for every value of the data, named by its path.

        A value of which the model gave no evidence is its own quote.
        """
        told = {_path(each.name): each for each in given}
        fields = []
        for path, value in leaves(data):
            evidence = told.get(path)
            quote, page = (evidence.quote, evidence.page) if evidence else (value, None)
            fields.append(self._field(path, value, quote, page))
        return fields

    def judged(self, fields: Iterable[DocumentField]) -> list[DocumentField]:
        """Return the fields with how far the document bears them out."""
        return [each.model_copy(update={"confidence": self._confidence(each)}) for each in fields]

    def _field(self, name: str, value: str, quote: str, page: int | None) -> DocumentField:
        place = self.find(quote, page)
        field = DocumentField(
            name=name,
            value=" ".join(value.split()),
            page=place.page.number if place else page if page in self._pages else None,
            quote=place.page.text[place.start : place.end] if place else quote or None,
            box=place.box if place else None,
            grounded=place is not None,
        )
        return field.model_copy(update={"confidence": self._confidence(field)})

    def _confidence(self, field: DocumentField) -> float:
        place = self.find(field.quote or "", field.page)
        if place is None:
            return _INVENTED
        said = _essence(field.value)
        support = _LITERAL if said and said in _essence(field.quote or "") else _REWORDED
        words = [
            word.confidence
            for word in place.page.words
            if word.start < place.end and place.start < word.end and word.confidence is not None
        ]
        return round(support * (sum(words) / len(words) if words else 1), 3)


def box_around(page: Page, start: int, end: int) -> Box | None:
    """Return the box around the words of a span of the page's text; None where there are none."""
    boxes = [word.box for word in page.words if word.start < end and start < word.end]
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _inside_word(text: str, at: int) -> bool:
    if not 0 < at < len(text):
        return False
    return all(each.isalnum() and ord(each) < _UNSPACED for each in text[at - 1 : at + 1])


def _identifier(name: str) -> str:
    words = "".join(each if each.isalnum() else " " for each in name.lower()).split()
    return "_".join(words) or "field"


def _path(name: str) -> str:
    """Return a path as it is written here: models also write `$.lines[0].amount` and `data.total`."""
    return name.replace("[", ".").replace("]", "").removeprefix("$.").removeprefix("data.")


def _essence(text: str) -> str:
    """Return letters and digits alone: `1,234.50` and `1234.5` differ in little else."""
    return "".join(each for each in text.lower() if each.isalnum())
