"""How a document is cut into requests: by the tokens that text, instructions and schema have together."""

import json

from pydantic import BaseModel

from pipeline import PermanentError
from stages.llm.answer import answer_schema
from stages.llm.form import Form
from stages.llm.params import LlmParams
from stages.llm.passages import Chunk, chunks
from stages.llm.prompt import longest_hints, reading
from stages.llm.settings import LlmSettings
from stages.llm.tokens import Counter
from stages.outputs import NerOutput, OcrOutput

_LEAST = 256
"""Tokens of text that are sent however little room there seems to be: what is there is an estimate."""
_PAGE_MARK = 8
"""Tokens of `[page 12]` and the lines around it."""
_TEMPLATE = 100
"""Tokens that a model's chat template puts around the turns; usually some 20."""


class Plan(BaseModel):
    """Saved first: later attempts keep to it when settings have changed."""

    limit: int
    """Characters of this document that a request may hold; answers that are merged keep to it, too."""
    chunks: list[Chunk]


async def plan(
    text: OcrOutput,
    entities: NerOutput,
    counter: Counter,
    settings: LlmSettings,
    params: LlmParams,
    form: Form | None,
) -> Plan:
    """Cut the document.

    Raises:
        PermanentError: it needs more chunks than the operator allows, or the tokenizer can't be used.
    """
    around = _around(entities, params, form)
    sure = _room(len(around.encode()), settings)
    if len(text.text.encode(errors="replace")) + _PAGE_MARK * len(text.pages) <= sure:
        # A token has a byte at least: there is nothing to count.
        return Plan(limit=sure, chunks=chunks(text.pages, sure))
    room = _room(await counter.count(around), settings)
    tokens = [await counter.count(page.text) + _PAGE_MARK for page in text.pages]
    made = chunks(text.pages, room, tokens)
    if len(made) > settings.max_chunks:
        raise PermanentError(
            f"the document needs {len(made)} requests of {room} tokens of text, more than "
            f"MILLRACE_LLM_MAX_CHUNKS={settings.max_chunks}: raise it, or MILLRACE_LLM_CHUNK_TOKENS and "
            "MILLRACE_LLM_CONTEXT where the model's context allows, or split the document"
        )
    return Plan(limit=max(1, room * len(text.text) // sum(tokens)), chunks=made)


def _room(around: int, settings: LlmSettings) -> int:
    """Return the tokens that a request has for text, beside the others in it and those of the answer."""
    left = settings.context - settings.max_tokens - _TEMPLATE - around
    return min(settings.chunk_tokens, max(_LEAST, left))


def _around(entities: NerOutput, params: LlmParams, form: Form | None) -> str:
    """Return what a request holds beside the text: instructions, hints and the schema of the answer."""
    messages = reading({}, [], [], params, form)
    said = [each["content"] for each in messages]
    return "\n".join([*said, longest_hints(entities.entities), json.dumps(answer_schema(form))])
