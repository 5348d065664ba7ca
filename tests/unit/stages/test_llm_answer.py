"""What is sent to a model as schema, and what is taken from it as an answer."""

import json
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from stages.endpoint.dialect import Dialect, Format
from stages.llm.answer import Answer, answer_schema
from stages.llm.expected import EXPECTED_FIELDS, DocumentType
from stages.outputs import LlmOutput

GOOD: dict[str, Any] = {"type": "letter", "title": "A", "summary": "B.", "fields": []}


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every object schema in a schema."""
    if isinstance(schema, list):
        return [found for each in schema for found in objects(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for each in schema.values() for found in objects(each)]


def test_the_schema_is_strict_and_bounded() -> None:
    found = objects(answer_schema(None))
    assert len(found) == 2
    for each in found:
        assert each["additionalProperties"] is False
        assert set(each["required"]) == set(each["properties"])
    assert '"default"' not in json.dumps(answer_schema(None))
    assert answer_schema(None)["properties"]["fields"]["maxItems"] > 0


def test_the_types_are_those_of_the_output() -> None:
    assert get_args(LlmOutput.model_fields["type"].annotation) == get_args(DocumentType)
    assert set(EXPECTED_FIELDS) == set(answer_schema(None)["properties"]["type"]["enum"])


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        "```json\n" + json.dumps(GOOD) + "\n```",
        "<think>Is it {a letter}?</think>\n" + json.dumps(GOOD),
        "Here you are: " + json.dumps({**GOOD, "more": 1}) + " Anything else?",
    ],
)
def test_an_answer_may_be_wrapped(text: str) -> None:
    assert Answer.parse(text).type == "letter"


def test_missing_values_are_left_out_and_numbers_taken() -> None:
    given = [
        {"name": "total", "value": 12.5, "page": "1", "quote": "12.50"},
        {"name": "iban", "value": None, "page": None, "quote": ""},
        {"name": "bic", "value": "", "page": None, "quote": ""},
    ]
    (field,) = Answer.parse(json.dumps({**GOOD, "fields": given})).fields
    assert (field.value, field.page) == ("12.5", 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[]",
        "}{",
        json.dumps({**GOOD, "type": "poem"}),
        json.dumps({**GOOD, "fields": None}),
        json.dumps({**GOOD, "title": ""}),
        json.dumps({**GOOD, "summary": "x" * 2001}),
        json.dumps({key: value for key, value in GOOD.items() if key != "summary"}),
    ],
)
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Answer.parse(text)


def test_dialects_end_with_the_prompt_alone() -> None:
    dialect: Dialect | None = Dialect()
    formats = []
    while dialect is not None:
        formats.append(dialect.format)
        dialect = dialect.plainer(None)
    assert list(dict.fromkeys(formats)) == list(Format)


def test_a_refused_parameter_is_changed_once() -> None:
    changed = Dialect().plainer("max_tokens")
    assert changed == Dialect(limit="max_completion_tokens")
    again = changed.plainer("max_tokens")
    assert again is not None
    assert again == Dialect(limit="max_completion_tokens", stream=False)
