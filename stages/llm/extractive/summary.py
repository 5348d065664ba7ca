"""A document's summary: a sentence of its fields for bills, its own sentences for prose."""

from collections.abc import Sequence

from stages.llm.expected import DocumentType
from stages.llm.extractive.sentences import sentences
from stages.llm.extractive.textrank import best_sentences
from stages.outputs import DocumentField, Page

NO_TEXT = "The document has no text."


def summary(type_: DocumentType, fields: Sequence[DocumentField], pages: Sequence[Page], count: int) -> str:
    """Return `count` sentences at most.

    Bills are made of figures, so theirs is put together of the fields; so is a contract's first one,
    as no clause says who agreed with whom.
    """
    if type_ in ("invoice", "receipt"):
        return _of_bill(type_, fields)
    lead = _of_contract(fields) if type_ == "contract" else []
    found = lead + best_sentences(sentences(pages), count - len(lead))
    if found:
        return " ".join(found)
    first = next((line for page in pages for line in page.text.splitlines() if line.strip()), "")
    return f"A document without prose, beginning: {' '.join(first.split())[:200]}"


def _of_bill(type_: DocumentType, fields: Sequence[DocumentField]) -> str:
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


def _of_contract(fields: Sequence[DocumentField]) -> list[str]:
    value = {field.name: field.value for field in fields}
    parties = " and ".join(field.value for field in fields if field.name == "parties")
    if not parties:
        return []
    law = _after(", under the law of", value.get("governing_law"))
    return [f"Contract between {parties}{_after(', effective', value.get('effective_date'))}{law}."]


def _after(word: str, value: str | None) -> str:
    return f"{word} {value}" if value else ""
