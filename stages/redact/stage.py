"""The stage that masks: from a document's entities to the same document without personal data."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from pipeline import StageContext, stage
from stages.outputs import NerOutput, OcrOutput, RedactedOutput
from stages.redact.masking import mask

_TIME = timedelta(minutes=5)
"""For a document; a thousand pages take seconds."""
Label = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,39}$")]


class RedactParams(BaseModel, extra="forbid"):
    """What is masked."""

    labels: Annotated[list[Label], Field(min_length=1)] = ["PERSON", "ADDRESS", "EMAIL", "PHONE", "IBAN"]
    """Labels of the entities to mask; those of own patterns and models count too. The default is what
    names or reaches a person, and bank accounts."""
    keep_originals: bool = True
    """Keep, in this stage's output, what the placeholders stand for, so that `unmask` can put it back.
    False: nobody can tell any more from this output; the outputs of the stages before it still can."""


@stage(name="redact", version=1)
async def redact(entities: NerOutput, context: StageContext, params: RedactParams) -> RedactedOutput:
    """Replace personal data by placeholders, the same one for all mentions of one person or thing.

    Masked are the mentions that NER found, and wherever else the same words stand: a surname alone, an
    address in other capitals. What NER did not find anywhere stays.
    """
    text = await context.output(OcrOutput)
    return await context.run_process(
        mask, text, entities, frozenset(params.labels), params.keep_originals, timeout=_TIME
    )
