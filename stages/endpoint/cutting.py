"""How a document is cut into requests: by the tokens that text, instructions and schema have together."""

from collections.abc import Sequence

from pydantic import BaseModel

from pipeline import PermanentError
from stages.endpoint.passages import Chunk, chunks
from stages.endpoint.settings import LlmSettings
from stages.endpoint.tokens import Counter
from stages.outputs import OcrOutput

_LEAST = 256
"""Tokens of text that are sent however little room there seems to be: what is there is an estimate."""
_PAGE_MARK = 8
"""Tokens of `[page 12]` and the lines around it."""
_TEMPLATE = 100
"""Tokens that a model's chat template puts around the turns; usually some 20."""
SHORTEST = 400
"""Characters of a chunk that is not halved any more: it is not the text that is too long."""


class Plan(BaseModel):
    """Saved first: later attempts keep to it when settings have changed."""

    limit: int
    """Characters of this document that a request may hold; answers that are merged keep to it, too."""
    chunks: list[Chunk]


async def cut(text: OcrOutput, around: Sequence[str], counter: Counter, settings: LlmSettings) -> Plan:
    """Cut the document; `around` is all that a request holds beside the text.

    Raises:
        PermanentError: it needs more chunks than the operator allows, or the tokenizer can't be used.
    """
    said = "\n".join(around)
    sure = _room(len(said.encode()), settings)
    if len(text.text.encode(errors="replace")) + _PAGE_MARK * len(text.pages) <= sure:
        # A token has a byte at least: there is nothing to count.
        return Plan(limit=sure, chunks=chunks(text.pages, sure))
    room = _room(await counter.count(said), settings)
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
