"""What a model is asked to answer: the schema that it is sent and that its answer is checked against."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stages.endpoint.reply import json_object
from stages.llm.expected import DocumentType
from stages.llm.form import Form

# Bounds also keep a grammar-constrained model, which must close what it opens, from never ending.

# In a strict schema every property is required and no other is allowed, but an answer with one more
# is no reason to ask again.
_STRICT = ConfigDict(
    extra="ignore", coerce_numbers_to_str=True, json_schema_extra={"additionalProperties": False}
)


class AnswerField(BaseModel):
    """A field as the model gave it, not yet checked against the text."""

    model_config = _STRICT

    name: Annotated[str, Field(min_length=1, max_length=120)]
    value: Annotated[str, Field(min_length=1, max_length=500)]
    page: Annotated[int, Field(ge=1, le=1_000_000)] | None
    quote: Annotated[str, Field(max_length=500)]


class Answer(BaseModel):
    """A whole answer."""

    model_config = _STRICT

    type: DocumentType
    title: Annotated[str, Field(min_length=1, max_length=200)]
    summary: Annotated[str, Field(min_length=1, max_length=2000)]
    fields: Annotated[list[AnswerField], Field(max_length=40)]
    data: dict[str, Any] | None = None
    """In the form that was asked for; None where none was."""

    @field_validator("fields", mode="before")
    @classmethod
    def _without_missing(cls, value: object) -> object:
        """Drop fields that a model without a grammar lists with no value: they say 'not found'."""
        if not isinstance(value, list):
            return value
        return [each for each in value if not (isinstance(each, dict) and each.get("value") in (None, ""))]

    def told(self) -> str:
        """Return it as JSON, as a model would write it."""
        return self.model_dump_json(exclude={"data"} if self.data is None else None)

    @classmethod
    def parse(cls, text: str) -> "Answer":
        """Return the answer in a model's text, which may think aloud first or fence the JSON.

        Raises:
            pydantic.ValidationError: no JSON object, or not one of this schema.
        """
        return cls.model_validate(json_object(text))


def answer_schema(form: Form | None) -> dict[str, Any]:
    """Return the schema of an answer whose data has this form."""
    schema = Answer.model_json_schema()
    if form is None:
        del schema["properties"]["data"]
        return schema
    data = dict(form.schema)
    definitions = {**data.pop("$defs", {}), **schema.pop("$defs")}
    # Before the fields, which give evidence of it.
    fields = schema["properties"].pop("fields")
    schema["properties"] |= {"data": data, "fields": fields}
    return {**schema, "required": [*schema["required"], "data"], "$defs": definitions}
