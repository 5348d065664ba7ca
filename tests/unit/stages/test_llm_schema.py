"""Schemas that jobs and deployments give, and what is made of them."""

import json
import sys
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from pipeline import PermanentError
from stages.endpoint.json_schema import MAX_BYTES, checked, leaves, partial, problem, without
from stages.llm import LlmParams, LlmSettings
from stages.llm.answer import answer_schema
from stages.llm.choice import form_of
from stages.llm.extractive import extract
from stages.llm.extractive.filling import filled
from stages.llm.form import Form
from stages.llm.forms import FORMS
from tests.llm_documents import example

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "maximum": {"type": "integer", "maximum": 9},
        "required": {"$ref": "#/$defs/Name"},
    },
    "required": ["maximum", "required"],
    "$defs": {"Name": {"type": "string", "maxLength": 5}},
}


class Timesheet(BaseModel):
    person: str
    hours: float

    @field_validator("hours")
    @classmethod
    def _a_day(cls, value: float) -> float:
        if value > 24:
            raise ValueError("no day has that many")
        return value


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array"}, "describes an object"),
        ({"type": "object", "properties": {"a": {"type": "nonsense"}}}, "properties.a"),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.org/a"}}}, "same schema"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/B"}}}, "same schema"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "same schema"),
        ({"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}, "may not use pattern"),
        ({"type": "object", "patternProperties": {"(a+)+$": {}}}, "may not use patternProperties"),
        ({"type": "object", "$id": "https://example.org/"}, "may not use"),
        ({"type": "object", "description": "x" * MAX_BYTES}, "bytes"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_at_the_submission(
    schema: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        LlmParams.model_validate({"schema": schema})


def test_a_property_may_be_called_like_a_keyword() -> None:
    assert checked(ORDER) is ORDER
    assert set(without(ORDER, frozenset({"maximum"}))["properties"]) == {"maximum", "required"}
    assert without(ORDER, frozenset({"maximum"}))["properties"]["maximum"] == {"type": "integer"}
    assert problem(partial(ORDER), {}) is None
    assert partial(ORDER)["properties"].keys() == {"maximum", "required"}


def test_what_is_wrong_is_said_without_repeating_it() -> None:
    told = problem(ORDER, {"maximum": "canary", "required": "canary"})
    assert told is not None
    assert "data.maximum: it must have type" in told
    assert "data.required: it must have maxLength" in told
    assert "canary" not in told
    assert "required" in (problem(ORDER, {}) or "")


def test_the_schema_of_an_answer_keeps_references_valid() -> None:
    schema = answer_schema(Form("job", ORDER))
    assert schema["$defs"].keys() == {"Name", "AnswerField"}
    assert "data" in schema["required"]
    assert schema["properties"]["data"]["properties"]["required"] == {"$ref": "#/$defs/Name"}
    assert list(schema["properties"])[-2:] == ["data", "fields"]


@pytest.mark.parametrize("name", FORMS)
def test_a_built_in_schema_is_strict(name: str) -> None:
    form = form_of(LlmParams(json_schema=name), LlmSettings(), "")
    assert form is not None
    checked(form.schema)
    assert set(form.schema["required"]) == set(form.schema["properties"])
    assert form.schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("file", "name"),
    [("invoice.pdf", "invoice"), ("receipt.jpg", "receipt"), ("letter.tiff", "letter")],
)
def test_the_built_in_schema_is_chosen_by_type_and_filled_without_a_model(file: str, name: str) -> None:
    text, found = example(file)
    params = LlmParams.model_validate({"schema": "auto"})
    form = form_of(params, LlmSettings(), text.text)
    assert form is not None
    assert form.name == name
    output = filled(extract(file, text, found, params), form)
    assert output.schema_name == name
    assert form.problem(output.data) is None
    assert output.data is not None
    told = [(path, value) for path, value in leaves(output.data) if value]
    assert told
    assert {path for path, _ in told} == {field.name for field in output.fields}
    assert all(field.grounded and field.confidence is not None for field in output.fields)


def test_the_extractive_engine_fills_a_schema_of_the_job_as_far_as_it_knows() -> None:
    text, found = example("invoice.pdf")
    schema = {
        "type": "object",
        "properties": {
            "total": {"type": "number"},
            "iban": {"type": ["string", "null"]},
            "colour": {"type": ["string", "null"]},
            "weight": {"type": "number"},
        },
        "required": ["total", "weight"],
    }
    params = LlmParams.model_validate({"schema": schema})
    form = form_of(params, LlmSettings(), text.text)
    assert form is not None
    output = filled(extract("invoice.pdf", text, found, params), form)
    assert output.data is not None
    assert isinstance(output.data["total"], int | float)
    assert output.data["colour"] is None
    assert "weight" not in output.data
    assert {field.name for field in output.fields} == {"total", "iban"}


def test_a_deployment_gives_a_pydantic_model_by_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("acme_forms")
    module.Timesheet = Timesheet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_forms", module)
    monkeypatch.setenv("MILLRACE_LLM_SCHEMAS", "timesheet=acme_forms:Timesheet, other=acme_forms:Other")
    settings = LlmSettings.read()
    form = form_of(LlmParams(json_schema="timesheet"), settings, "")
    assert form is not None
    assert form.problem({"person": "Ada", "hours": 8}) is None
    assert form.problem({"person": "Ada", "hours": 99}) == "data.hours: value_error"
    with pytest.raises(PermanentError, match="other=acme_forms:Other"):
        form_of(LlmParams(json_schema="other"), settings, "")
    with pytest.raises(PermanentError, match=r"no schema 'timeshet'.*timesheet"):
        form_of(LlmParams(json_schema="timeshet"), settings, "")


def test_a_wrong_list_of_schemas_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_LLM_SCHEMAS", "timesheet")
    with pytest.raises(PermanentError, match="MILLRACE_LLM_SCHEMAS"):
        LlmSettings.read()


def test_fields_and_a_schema_are_not_given_together() -> None:
    with pytest.raises(ValidationError, match="not both"):
        LlmParams.model_validate({"schema": "invoice", "fields": ["total"]})


def test_a_schema_survives_the_way_to_a_child_process() -> None:
    params = LlmParams.model_validate({"schema": ORDER})
    assert json.loads(params.model_dump_json())["json_schema"] == ORDER
