"""A document's summary: a sentence of its fields for bills, its own sentences for prose."""

from collections.abc import Sequence

from stages.llm.expected import DocumentType
from stages.llm.extractive.sentences import sentences
from stages.llm.extractive.textrank import best_sentences
from stages.outputs import DocumentField, Page

NO_TEXT = "The document has no text."


def summary(type_: DocumentType, fields: Sequence[DocumentField], pages: Sequence[Page], count: int) -> str:
    """Return `count` sentences at most. Bills are made of figures, so theirs is put together."""
    if type_ in ("invoice", "receipt"):
        return _of_fields(type_, fields)
    prose = best_sentences(sentences(pages), count)
    if prose:
        return " ".join(prose)
    first = next((line for page in pages for line in page.text.splitlines() if line.strip()), "")
    return f"A document without prose, beginning: {' '.join(first.split())[:200]}"


def _of_fields(type_: DocumentType, fields: Sequence[DocumentField]) -> str:
    value = {field.name: field.value for field in fields}
    amount = " ".join(value[name] for name in ("currency", "total") if name in value)
    parts = [
        type_.capitalize(),
        value.get("invoice_number", ""),
        _after("from", value.get("seller") or value.get("merchant")),
        _after("to", value.get("buyer")),
        _after("of", value.get("issue_date") or value.get("date")),
        _after("over", amount),
    ]
    due = _after(", due on", value.get("due_date"))
    return " ".join(part for part in parts if part) + f"{due}."


def _after(word: str, value: str | None) -> str:
    return f"{word} {value}" if value else ""
