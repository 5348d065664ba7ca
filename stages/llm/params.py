"""What a job may choose of the LLM stage."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from stages.endpoint import json_schema as schemas
from stages.endpoint.job_budget import JobBudget

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
SchemaName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class LlmParams(BaseModel, extra="forbid", validate_by_name=True, validate_by_alias=True):
    """A job's choices. The endpoint is not one of them: it is the operator's."""

    fields: Annotated[list[FieldName], Field(min_length=1, max_length=30)] | None = None
    """Names of the fields to find, such as `invoice_number`. None: those usual for the type."""

    json_schema: Annotated[dict[str, Any] | SchemaName | None, Field(alias="schema")] = None
    """What `data` of the output looks like: a JSON schema, or the name of one: `invoice`, `receipt`,
    `contract`, `letter`, `generic`, `auto` for the one of these that fits the document's type, or one of
    `MILLRACE_LLM_SCHEMAS`. Called `schema` in a job's params. None: no `data`, only fields."""

    summary_sentences: Annotated[int, Field(ge=1, le=10)] = 3
    """Sentences that the summary has at most. Default 3: what fits into a list of documents."""

    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    """BCP 47 tag of the summary's language. None: the document's own. The extractive engine, which
    cannot translate, does not heed it."""

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The model's name as the endpoint knows it, one of `MILLRACE_LLM_MODELS`. None: `MILLRACE_LLM_MODEL`.
    The extractive engine has none, and does not heed it."""

    force: bool = False
    """Ask the endpoint also what was asked before; the new answers are remembered."""

    budget: JobBudget | None = None
    """What all requests of this job may use: `{"cost": 0.5, "tokens": 100000}`, one or both. None: as much
    as `MILLRACE_LLM_JOB_COST` and `_JOB_TOKENS` allow, which a job can't raise."""

    @field_validator("json_schema")
    @classmethod
    def _usable(cls, value: dict[str, Any] | str | None) -> dict[str, Any] | str | None:
        return schemas.checked(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.fields and self.json_schema is not None:
            raise ValueError("give `fields` or `schema`, not both: a schema names its fields itself")
        return self
