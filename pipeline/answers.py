"""Values that come back from child processes, as JSON by the return type of the function.

Unlike a pickle, JSON that was validated runs nothing and is what was promised, whoever wrote it.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from inspect import iscoroutinefunction, isfunction
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import (
    ConfigDict,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError

from pipeline.errors import DefinitionError, InvalidAnswer

T = TypeVar("T")

MAX_VALUES = 2_000_000
"""Values that one answer may have: each may become a hundred bytes here, or an error of many hundreds."""

_TOLD = 2_000
"""Characters of a description of what is wrong with an answer."""

_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")


class AnswerType(Generic[T]):
    """What a function has promised to return, by its annotation.

    Everything that pydantic can turn into JSON and back. What comes back is of the annotated type,
    whatever subclass of it was returned. Bytes survive; in a pydantic model, as its own config says.
    """

    def __init__(self, function: str, annotation: Any) -> None:
        self._function = function
        # A model around the value gives it the config, which a type adapter refuses for some types.
        self._model = create_model("Answer", __config__=_CONFIG, value=(annotation, ...))
        self._adapter = TypeAdapter(self._model)

    @staticmethod
    def of(function: Callable[..., T]) -> "AnswerType[T]":
        """Return the type that a function promises; cached.

        Raises:
            DefinitionError: it is async, or promises nothing that can be JSON.
        """
        while isinstance(function, partial):
            function = function.func
        return _answer_type(getattr(function, "__func__", function))

    def dump(self, value: T) -> bytes:
        """Return a value as JSON.

        Raises:
            TypeError: it can't be.
        """
        try:
            return self._adapter.dump_json(
                self._model.model_construct(value=value), round_trip=True, by_alias=False, warnings="none"
            )
        except PydanticSerializationError as error:
            raise TypeError(
                f"what {self._function} returned can't be JSON: {error} (bytes in a model need its "
                "`model_config` to have ser_json_bytes='base64' and val_json_bytes='base64')"
            ) from error

    def load(self, answer: bytearray) -> T:
        """Return the value.

        Raises:
            InvalidAnswer: it isn't what was promised.
        """
        if len(answer) > MAX_VALUES and sum(map(answer.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise InvalidAnswer(f"{self._function} returned more than {MAX_VALUES:,} values: return parts")
        try:
            value: T = self._adapter.validate_json(answer, by_alias=False, by_name=True).value  # type: ignore[attr-defined]
        except ValidationError as error:
            # Its text has lines for every value.
            count = error.error_count()
            told = str(error)[:_TOLD] if count <= 100 else f"{count:,} of its values are wrong"
            raise InvalidAnswer(f"{self._function} did not return what it promises: {told}") from None
        return value


@lru_cache(maxsize=1024)
def _answer_type(function: Callable[..., Any]) -> AnswerType[Any]:
    name = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
    if not isfunction(function) or iscoroutinefunction(function):
        raise DefinitionError(
            f"{name} can't run in a child process: give a plain (not async) Python function"
        )
    try:
        annotation = get_type_hints(function, include_extras=True)["return"]
        return AnswerType(name, annotation)
    except KeyError:
        reason = "it has no return annotation"
    except (NameError, TypeError, PydanticUserError) as error:
        reason = str(error)
    raise DefinitionError(
        f"{name} can't run in a child process: {reason}. Its answer comes back as JSON: annotate what it "
        "returns with a type that pydantic can turn into JSON and back"
    )
