"""What a model answers: JSON in a text, checked, with what it took."""

import re
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from stages.outputs import Usage

_REASONING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_JSON = TypeAdapter(dict[str, Any])


class Reply(BaseModel):
    """A valid answer, which models of it add, and what it took, all calls added up."""

    model: str | None
    usage: Usage


class Unusable(ValueError):
    """An answer that is not of the form asked for; says why in words that repeat nothing of it."""

    @classmethod
    def of(cls, error: ValidationError) -> "Unusable":
        """Say what is wrong with the first few places."""
        problems = error.errors(include_input=False, include_url=False, include_context=False)[:5]
        return cls("; ".join(_problem(each["loc"], each["type"], each["msg"]) for each in problems))


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object in a model's text, which may think aloud first or fence the JSON.

    Raises:
        pydantic.ValidationError: there is none.
    """
    text = _REASONING.sub("", text, count=1)
    start, end = text.find("{"), text.rfind("}")
    return _JSON.validate_json(text[start : end + 1] if 0 <= start < end else text)


def total_usage(usages: list[Usage]) -> Usage:
    """Return the sum."""
    return Usage(
        prompt_tokens=sum(each.prompt_tokens for each in usages),
        completion_tokens=sum(each.completion_tokens for each in usages),
        total_tokens=sum(each.total_tokens for each in usages),
        uncounted=sum(each.uncounted for each in usages),
    )


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(step) for step in place) or "the answer"
    return f"{where}: {'it is not a JSON object' if kind == 'json_invalid' else message}"
