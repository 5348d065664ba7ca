"""What a model is told."""

from collections.abc import Iterable, Mapping, Sequence

from stages.endpoint.client import Message
from stages.endpoint.fence import fenced
from stages.endpoint.passages import Chunk
from stages.llm.expected import EXPECTED_FIELDS
from stages.llm.form import Form
from stages.llm.params import LlmParams
from stages.outputs import Entity, Page

# Enough for the entities of a few pages; more would cost as much as the text itself.
MAX_ENTITIES = 60

_TASK = """\
You read a document and answer in JSON: its type, a title, a summary and its key fields.
- type: one of {types}.
- title: the document's own title, or a short one that says what it is.
- summary: at most {sentences} sentence(s) of plain text{language}.
- fields: {fields}
  Give dates as YYYY-MM-DD and amounts as plain numbers such as 1234.50, without the currency.
  For each field give the page's number and a short quote copied word for word from that page that \
states the value. Leave out a field that the document does not state; never guess.
"""
_OF_DATA = """\
one for each value in data, named by its path, such as total or lines.0.amount.
- data: what the document states, in the form that the schema describes; null, or left out where it \
may be, for what it does not state."""


def reading(
    pages: Mapping[int, Page],
    chunk: Chunk,
    entities: Iterable[Entity],
    params: LlmParams,
    form: Form | None = None,
) -> list[Message]:
    """Return the messages that ask about one chunk of the document's text."""
    parts = [f"[page {span.page}]\n{pages[span.page].text[span.start : span.end]}" for span in chunk]
    hints = _hints(entities, chunk)
    if hints:
        parts.append(f"[names, dates and numbers that another program found]\n{hints}")
    return fenced(_task(params, form), "text from a document", "\n\n".join(parts))


def merging(answers: Sequence[str], params: LlmParams, form: Form | None = None) -> list[Message]:
    """Return the messages that ask for one answer from the answers about a document's parts."""
    what = (
        "what was answered about the parts of one document, in order, each in JSON. Make one answer "
        "about the whole document of them; keep each field's page and quote as they are"
    )
    return fenced(_task(params, form), what, "\n\n".join(answers))


def _task(params: LlmParams, form: Form | None) -> str:
    if form is not None:
        fields = _OF_DATA
    elif params.fields:
        fields = f"exactly these where the document states them: {', '.join(params.fields)}."
    else:
        usual = "; ".join(f"{type_}: {', '.join(names)}" for type_, names in EXPECTED_FIELDS.items() if names)
        fields = f"the key facts, by these names where they fit ({usual}), others in snake_case."
    return _TASK.format(
        types=", ".join(EXPECTED_FIELDS),
        sentences=params.summary_sentences,
        language=f", in the language {params.language}" if params.language else "",
        fields=fields,
    )


def _hints(entities: Iterable[Entity], chunk: Chunk) -> str:
    numbers = {span.page for span in chunk}
    lines = dict.fromkeys(_hint(each) for each in entities if each.page in numbers)
    return "\n".join(list(lines)[:MAX_ENTITIES])


def longest_hints(entities: Iterable[Entity]) -> str:
    """Return as many words about entities as any chunk of their document can be sent with."""
    lines = sorted({_hint(each) for each in entities}, key=len, reverse=True)
    return "\n".join(lines[:MAX_ENTITIES])


def _hint(entity: Entity) -> str:
    return f"{entity.label}: {' '.join(entity.text.split())} (page {entity.page})"
