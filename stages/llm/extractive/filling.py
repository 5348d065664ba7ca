"""Fills a schema from the fields that were found: a property takes the field of its name."""

from collections.abc import Sequence
from typing import Any

from stages.endpoint.json_schema import problem
from stages.llm.form import Form
from stages.outputs import DocumentField, LlmOutput


def filled(output: LlmOutput, form: Form) -> LlmOutput:
    """Return an extractive output with data in a schema, and the fields which that is made of.

    What was not found, or does not fit, is null or an empty list where the schema allows that, else
    left out: also where it is required, as nothing is made up.
    """
    data: dict[str, Any] = {}
    used: list[DocumentField] = []
    definitions = form.schema.get("$defs", {})
    for name, schema in form.schema.get("properties", {}).items():
        own = [each for each in output.fields if each.name == name]
        for value, fields in (*_readings(own), (None, []), ([], [])):
            if problem({"type": "object", "properties": {name: schema}, "$defs": definitions}, {name: value}):
                continue
            data[name] = value
            used += fields
            break
    return output.model_copy(update={"data": data, "fields": used, "schema_name": form.name})


def _readings(fields: Sequence[DocumentField]) -> list[tuple[Any, list[DocumentField]]]:
    """Return what fields of one name may stand for, from the fullest, each with its evidence."""
    if not fields:
        return []
    several = [each.model_copy(update={"name": f"{each.name}.{at}"}) for at, each in enumerate(fields)]
    first = fields[0]
    readings: list[tuple[Any, list[DocumentField]]] = [([each.value for each in fields], several)]
    readings.append((first.value, [first]))
    number = _number(first.value)
    return readings if number is None else [*readings, (number, [first])]


def _number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number
