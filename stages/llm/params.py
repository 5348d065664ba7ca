"""What a job may choose of the LLM stage."""

from typing import Annotated

from pydantic import BaseModel, Field

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class LlmParams(BaseModel, extra="forbid"):
    """A job's choices. The endpoint is not one of them: it is the operator's."""

    fields: Annotated[list[FieldName], Field(min_length=1, max_length=30)] | None = None
    """Names of the fields to find, such as `invoice_number`. None: those usual for the type."""

    summary_sentences: Annotated[int, Field(ge=1, le=10)] = 3
    """Sentences that the summary has at most. Default 3: what fits into a list of documents."""

    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    """BCP 47 tag of the summary's language. None: the document's own. The extractive engine, which
    cannot translate, does not heed it."""
