"""JSON schemas that jobs and deployments give: what is taken of them, and what is made of them.

Whoever submits a document may write its schema. So nothing in it is ever fetched, and nothing in it
can keep a worker busy: references stay inside it, and regular expressions are not taken.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

Json = dict[str, Any]
MAX_BYTES = 32 * 1024
"""Of a schema as JSON; it is a part of every request."""

_NAMED = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose value maps names of the schema's own, which may be called like keywords."""
_DATA = frozenset({"enum", "const", "default", "examples", "required", "dependentRequired"})
"""Keywords whose value is no schema."""
_REFUSED = frozenset(
    {"pattern", "patternProperties", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary"}
)
_PARTIAL = frozenset({"required", "minItems", "minProperties", "dependentRequired"})


def checked(schema: Json) -> Json:
    """Return a schema that may be used.

    Raises:
        ValueError: it may not; the message says why.
    """
    if len(json.dumps(schema)) > MAX_BYTES:
        raise ValueError(f"a schema has at most {MAX_BYTES} bytes as JSON")
    if schema.get("type") != "object":
        raise ValueError('a schema describes an object: give {"type": "object", "properties": {…}}')
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(str(step) for step in error.absolute_path) or "its root"
        raise ValueError(f"no JSON schema (draft 2020-12), at {where[:80]}") from None
    for each in _schemas(schema):
        refused = sorted(_REFUSED & each.keys())
        if refused:
            raise ValueError(f"a schema may not use {', '.join(refused)}")
        reference = each.get("$ref")
        if reference is not None and not _is_inside(reference, schema):
            raise ValueError("a $ref names a definition of the same schema: #/$defs/…")
    return schema


def problem(schema: Json, value: Any) -> str | None:
    """Return what is wrong with a value, in words that repeat nothing of it; None where nothing is."""
    validator = Draft202012Validator(schema, registry=Registry())
    errors: list[ValidationError] = list(validator.iter_errors(value))[:5]
    told = [f"data{''.join(f'.{step}' for step in each.absolute_path)}: {_told(each)}" for each in errors]
    return "; ".join(told) or None


def partial(schema: Json) -> Json:
    """Return the schema for a part of a document, which need not have everything."""
    return without(schema, _PARTIAL)


def without(schema: Json, keywords: frozenset[str]) -> Json:
    """Return a copy without some keywords; properties that are called like them stay."""
    made: Json = _mapped(
        schema, lambda each: {key: value for key, value in each.items() if key not in keywords}
    )
    return made


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of every value that is there, such as `lines.0.amount`."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from leaves(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, f"{path}.{number}" if path else str(number))
    elif value is not None and value != "":
        yield path, value if isinstance(value, str) else json.dumps(value)


def _told(error: ValidationError) -> str:
    if error.validator in ("type", "required", "enum", "minimum", "maximum", "maxLength", "maxItems"):
        return f"it must have {error.validator} {json.dumps(error.validator_value)[:200]}"
    return f"it breaks the rule {error.validator!r}"


def _is_inside(reference: str, schema: Json) -> bool:
    start, name = reference[:8], reference[8:]
    return start == "#/$defs/" and name in schema.get("$defs", {})


def _schemas(schema: Any) -> Iterator[Json]:
    """Yield a schema and all those in it."""
    if isinstance(schema, list):
        for each in schema:
            yield from _schemas(each)
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in _NAMED and isinstance(value, dict):
                yield from _schemas(list(value.values()))
            elif key not in _DATA:
                yield from _schemas(value)


def _mapped(schema: Any, change: Callable[[Json], Json]) -> Any:
    if isinstance(schema, list):
        return [_mapped(each, change) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made: Json = {}
    for key, value in change(schema).items():
        if key in _NAMED and isinstance(value, dict):
            made[key] = {name: _mapped(each, change) for name, each in value.items()}
        else:
            made[key] = value if key in _DATA else _mapped(value, change)
    return made
