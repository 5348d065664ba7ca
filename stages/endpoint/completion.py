"""The part of a chat completion that is read, whatever else a server puts into it."""

from pydantic import BaseModel, Field, ValidationError

from pipeline import PermanentError, TemporaryError
from stages.outputs import Usage


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Body(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    usage: Usage | None = None


class Refused(PermanentError):
    """The model, or a filter before it, refuses this document; what that took is paid all the same."""

    def __init__(self, usage: Usage) -> None:
        super().__init__("the model refuses to read this document (refusal or content filter)")
        self.usage = usage


class Completion(BaseModel):
    """A model's text and what it took."""

    text: str
    cut_off: bool
    """True where the limit of tokens ended it."""
    model: str | None
    usage: Usage

    @classmethod
    def parse(cls, body: bytes) -> "Completion":
        """Read a response's body.

        Raises:
            TemporaryError: it is no chat completion: HTML, a part of a JSON text, another schema.
            Refused: the model, or a filter before it, refuses this document. A PermanentError.
        """
        try:
            read = _Body.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the body"
            # Not chained: a validation error repeats what it refused.
            raise TemporaryError(
                f"the LLM endpoint's answer is no chat completion: {where}: {first['type']}"
            ) from None
        choice = read.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise Refused(read.usage or Usage())
        return cls(
            text=choice.message.content or "",
            cut_off=choice.finish_reason == "length",
            model=read.model,
            usage=read.usage or Usage(uncounted=1),
        )
