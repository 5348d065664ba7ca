"""What an endpoint understands of the chat completions API: servers differ, so it is found out."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from stages.endpoint.json_schema import without

# JSON schema keywords that some strict endpoints refuse, though they only bound the answer's size.
_BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"})


class Format(Enum):
    """How the answer's form is asked for, from the strictest."""

    SCHEMA = 1
    """A JSON schema with bounds: the endpoint can only answer in this form."""
    UNBOUNDED_SCHEMA = 2
    """The same without bounds."""
    OBJECT = 3
    """Any JSON object; the prompt says which."""
    PROMPT = 4
    """The prompt alone."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of asking. Immutable."""

    format: Format = Format.SCHEMA
    limit: str = "max_tokens"
    """The parameter that bounds the answer; reasoning models want `max_completion_tokens`."""
    temperature: bool = True
    """Whether it may be set."""
    stream: bool = True
    """Whether the answer comes piece by piece."""
    stream_usage: bool = True
    """Whether it may then be asked for its usage."""

    def plainer(self, refused: str | None) -> "Dialect | None":
        """Return the next way to try after the endpoint refused this one, None after the last.

        Args:
            refused: The request's parameter that it named as the reason, where it named one.
        """
        if refused == "max_tokens" and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if refused == "temperature" and self.temperature:
            return replace(self, temperature=False)
        if refused == "stream_options" and self.stream_usage:
            return replace(self, stream_usage=False)
        if refused == "stream" and self.stream:
            return replace(self, stream=False)
        return self._less_strict()

    def _less_strict(self) -> "Dialect | None":
        """Return the next way where any part of the request may be what is refused.

        Streaming is given up first, as it costs the answer nothing, and then tried again.
        """
        if self.stream and self.format in (Format.SCHEMA, Format.PROMPT):
            return replace(self, stream=False)
        if self.format is Format.PROMPT:
            return None
        stream = self.stream or self.format is Format.SCHEMA
        return replace(self, format=Format(self.format.value + 1), stream=stream)

    @property
    def needs_schema_in_prompt(self) -> bool:
        """True where the request itself does not carry the schema."""
        return self.format in (Format.OBJECT, Format.PROMPT)

    def options(self, schema: dict[str, Any], max_tokens: int) -> dict[str, Any]:
        """Return the request's parameters that differ from dialect to dialect."""
        options: dict[str, Any] = {self.limit: max_tokens}
        if self.temperature:
            options["temperature"] = 0  # extraction: the likeliest answer, not a varied one
        if self.stream:
            options["stream"] = True
            if self.stream_usage:
                options["stream_options"] = {"include_usage": True}
        if self.format is Format.OBJECT:
            options["response_format"] = {"type": "json_object"}
        elif self.format is not Format.PROMPT:
            sent = schema if self.format is Format.SCHEMA else without(schema, _BOUNDS)
            options["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": sent},
            }
        return options
