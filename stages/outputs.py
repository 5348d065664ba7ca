"""What the built-in stages give, and so what they take from each other.

Positions: `start` and `end` are character offsets, half open. A box is (left, top, right, bottom)
in the page's own units, from its top left corner: points (1/72 inch) for PDF, pixels for images.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Box = tuple[float, float, float, float]
Confidence = Annotated[float, Field(ge=0, le=1)]


class Word(BaseModel):
    """A word on its page; `start` and `end` are offsets in the page's text."""

    text: str
    start: int
    end: int
    box: Box
    confidence: Confidence | None = None
    """None where nothing was recognised but read from a text layer."""


class Line(BaseModel):
    """A line of text, or a row of a table; offsets in the page's text."""

    start: int
    end: int
    box: Box
    confidence: Confidence | None = None
    """Mean over its words, weighted by length; None where nothing was recognised."""


class Block(BaseModel):
    """A paragraph, column part or table that is read as one; offsets in the page's text."""

    start: int
    end: int
    box: Box


class Page(BaseModel):
    """One page of a document; formats without pages have one."""

    number: int
    """From 1."""
    text: str
    """Blocks in reading order, parted by empty lines."""
    attachment: str | None = None
    """The name of the attachment that it is a page of; None for pages of the document itself."""
    method: Literal["text-layer", "ocr-layer", "ocr", "text-layer+ocr", "text", "empty", "failed"]
    """Where the text is from: a PDF's own layer, the invisible layer that an earlier OCR left in it,
    recognition, both, the file's own text, nothing there; it could not be read and was skipped."""
    error: str | None = None
    """Why it could not be read."""
    engine: str | None = None
    """What recognised it, such as `rapidocr 3.10.0`; None where nothing was to be recognised."""
    confidence: Confidence | None = None
    """Mean over the recognised words, weighted by length; None where nothing was recognised."""
    width: float = 0
    height: float = 0
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees, clockwise, by which the page as it is shown has to be turned to be read."""
    skew: float = 0
    """Degrees, clockwise, by which its lines slope once it is turned."""
    start: int = 0
    """Offset of the page's text in the whole text."""
    lines: list[Line] = []
    words: list[Word] = []
    blocks: list[Block] = []


class OcrOutput(BaseModel):
    """The text of a document, with the place of every word."""

    text: str
    """The pages' texts, parted by form feeds."""
    pages: list[Page]
    engine: str
    """Engine and version, such as `rapidocr 3.10.0`, or `text` where nothing was recognised."""


class Entity(BaseModel):
    """One mention of something named; offsets in the whole text."""

    label: str
    """PERSON, ORG, LOC, DATE, MONEY, EMAIL, PHONE, URL, IBAN, VAT_ID, REFERENCE, ADDRESS …"""
    text: str
    start: int
    end: int
    page: int
    box: Box | None = None
    """Around all its words; None where the page has no word boxes."""
    score: Confidence
    normalized: str | None = None
    """ISO 8601 date, `1234.50 EUR`, E.164 phone number, compact IBAN …"""
    engine: str
    """Whose reading this is, with version."""
    engines: list[str] = []
    """All that found the same, that one first."""


class EntityGroup(BaseModel):
    """Mentions of one thing: `Laura M. Whitfield`, `Ms Whitfield` and `L. Whitfield`."""

    label: str
    name: str
    """The fullest of its names; the normalised value of what is no name."""
    mentions: list[int]
    """Positions in the list of entities, in order."""


class Usage(BaseModel):
    """Tokens, as the endpoint counted them; none for the extractive engine and remembered answers."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    uncounted: int = 0
    """Requests of which the endpoint did not tell the tokens; they are not in the sums."""


class NerOutput(BaseModel):
    """The entities of a document, by their place in the text."""

    entities: list[Entity]
    engine: str
    """All that were asked, joined by ` + `."""
    groups: list[EntityGroup] = []
    """By the first mention; every entity is in one of them."""
    missing: int = 0
    """Wordings that a model gave and that the text doesn't have, or under labels not asked for: left out."""
    usage: Usage | None = None
    """Tokens of the `llm` engine; None where it was not asked."""


class Mask(BaseModel):
    """What stands for one thing in a redacted document."""

    placeholder: str
    """Such as `[PERSON_1]`; it does not occur in the document itself."""
    label: str
    name: str | None
    """What it stands for, in its fullest form; None where originals are not kept."""


class MaskedMention(BaseModel):
    """One place that was masked."""

    placeholder: str
    start: int
    """Offset in the redacted text; it ends with the placeholder."""
    page: int
    boxes: list[Box]
    """Of the words that were there; empty where the page has no word boxes."""
    text: str | None
    """What was there; None where originals are not kept."""


class RedactedOutput(OcrOutput, NerOutput):
    """A document's text, pages and entities, in which personal data gave way to placeholders.

    Later stages that ask for the text or the entities get these. `masks` and `mentions` undo it.
    """

    masks: list[Mask]
    mentions: list[MaskedMention]


class DocumentField(BaseModel):
    """A key field of a document, with where it was found."""

    name: str
    value: str
    page: int | None = None
    quote: str | None = None
    """The words of the document that say so."""
    box: Box | None = None
    grounded: bool = True
    """False when the quote does not occur in the text."""
    confidence: Confidence | None = None
    """How far the document bears the value out, no probability: 1 where the quote is in the text and has
    the value in it, 0.75 where it says it in another way, 0.25 where it is not in the text; each times
    the recogniser's mean confidence in the quote's words."""


class LlmOutput(BaseModel):
    """What a document is about."""

    type: Literal["invoice", "receipt", "contract", "letter", "report", "other"]
    title: str
    summary: str
    fields: list[DocumentField]
    """With `data`, one for each value in it, named by its path such as `lines.0.amount`."""
    data: dict[str, Any] | None = None
    """What was read, in the schema that the job asked for; None where it asked for none."""
    schema_name: str | None = None
    """The built-in or the deployment's schema of `data`; `job` where it came with the job."""
    engine: str
    """`openai` for an endpoint, `extractive` for the stand-in that needs none."""
    model: str | None = None
    usage: Usage = Usage()
