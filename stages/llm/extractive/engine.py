"""Puts an extractive answer together."""

from collections.abc import Callable, Iterable
from pathlib import PurePath

from stages.llm.evidence import Evidence
from stages.llm.expected import DocumentType
from stages.llm.extractive.agreement import contract
from stages.llm.extractive.bill import invoice, receipt
from stages.llm.extractive.classify import document_type
from stages.llm.extractive.correspondence import letter, report, subject
from stages.llm.extractive.facts import Facts
from stages.llm.extractive.summary import NO_TEXT, summary
from stages.llm.extractive.title import title
from stages.llm.params import LlmParams
from stages.outputs import DocumentField, LlmOutput, NerOutput, OcrOutput

_FIELDS: dict[DocumentType, Callable[[Facts], Iterable[DocumentField]]] = {
    "invoice": invoice,
    "receipt": receipt,
    "contract": contract,
    "letter": letter,
    "report": report,
    "other": subject,
}


def extract(name: str, text: OcrOutput, entities: NerOutput, params: LlmParams) -> LlmOutput:
    """Return type, title, summary and fields without any model; a stand-in for one, not an LLM.

    Runs in a child process. `name` is the document's; its stem is the title where the text has none.
    """
    stem = PurePath(name).stem or name
    if not text.text.strip():
        return LlmOutput(type="other", title=stem, summary=NO_TEXT, fields=[], engine="extractive")
    facts = Facts(text, entities)
    type_ = document_type(text.text)
    fields = list(_FIELDS[type_](facts))
    return LlmOutput(
        type=type_,
        title=_heading(type_, fields) or title(facts) or stem,
        summary=summary(type_, fields, text.pages, params.summary_sentences),
        fields=Evidence(text.pages).judged(
            each for each in fields if params.fields is None or each.name in params.fields
        ),
        engine="extractive",
    )


def _heading(type_: DocumentType, fields: Iterable[DocumentField]) -> str | None:
    """Return what names the document better than its first heading: its subject, an invoice's number."""
    for each in fields:
        if each.name == "subject":
            return each.value
        if each.name == "invoice_number":
            return f"{type_.capitalize()} {each.value}"
    return None
