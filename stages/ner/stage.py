"""The stage: from a document's text to the entities that it names."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar, TypeVarTuple

from pipeline import StageContext, stage
from stages.ner import hints, location, part, repeats, rules
from stages.ner.params import NerParams
from stages.ner.part import Part
from stages.ner.span import Span
from stages.outputs import NerOutput, OcrOutput

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
_PART_TIME = timedelta(minutes=5)
"""For one call of the rules; a page takes tens of milliseconds."""


async def find(text: OcrOutput, context: StageContext, params: NerParams) -> NerOutput:
    """Find what a document names: who, where, when, how much, and how to reach, pay or quote them.

    Pages are searched one by one, each a checkpoint, so a name that goes over the end of a page is not
    found there. Then what was found in one place is looked for in all others. A document without
    text has no entities.

    Raises:
        PermanentError: pages that don't fit their text.
    """
    location.check(text)
    read = await _run(context, hints.read, text.text[: hints.READ], params)

    async def search(piece: Part) -> list[Span]:
        found = await _run(context, rules.find, piece.text, read)
        return [span.moved(piece.start) for span in found]

    parts = part.split(text.pages)
    unit = "page" if len(parts) == len(text.pages) else "part"
    found = await context.each(parts, search, list[Span], unit=unit)
    spans = [span for spans in found for span in spans]
    spans = await _run(context, repeats.complete, text.text, spans)
    wanted = [span for span in spans if params.labels is None or span.label in params.labels]
    return NerOutput(entities=list(location.entities(text, wanted, rules.ENGINE)), engine=rules.ENGINE)


async def _run(context: StageContext, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Call the function in a child process, as patterns can take long over a text that was made for it."""
    return await context.run_process(function, *arguments, timeout=_PART_TIME)


ner = stage(name="ner", version=1)(find)
