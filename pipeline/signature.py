"""Reads what an author has written: the function or class of a stage, and what it takes and gives."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast, get_type_hints

from pydantic import BaseModel

from pipeline.context import StageContext
from pipeline.document import Document
from pipeline.errors import DefinitionError

StageFunction = Callable[..., Awaitable[BaseModel]] | Callable[..., BaseModel]


def engine_of(
    told: Callable[[], str] | Callable[[Mapping[str, Any]], str] | None,
) -> Callable[[Mapping[str, Any]], str] | None:
    """Return what tells a stage's engine, with or without its params, as one that takes them."""
    if told is None:
        return None
    if _needed(told):
        return cast("Callable[[Mapping[str, Any]], str]", told)
    alone = cast("Callable[[], str]", told)
    return lambda _: alone()


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function by name, in order."""
    return inspect.signature(function).parameters


def method_of(name: str, made_by: type[Any]) -> StageFunction:
    """Return the method that runs a stage which is a class.

    Raises:
        DefinitionError: it is no class of a stage; the message says why.
    """
    needed = _needed(made_by)
    if needed and made_by.__init__ is not object.__init__:
        raise DefinitionError(
            f"stage {name!r}: workers make objects of {made_by.__name__} without arguments, "
            f"and it wants {', '.join(needed)}: load what it needs in `prepare`"
        )
    function = getattr(made_by, "run", None)
    if not inspect.isfunction(function):
        raise DefinitionError(f"stage {name!r}: the class {made_by.__name__} needs a method `run`")
    for step in ("prepare", "close"):
        method = getattr(made_by, step, None)
        if method is not None and not (inspect.isfunction(method) and len(parameters_of(method)) == 1):
            raise DefinitionError(f"stage {name!r}: `{step}` is a method that takes nothing")
    return function


def signature_of(
    name: str, function: StageFunction, parameters: Sequence[str]
) -> tuple[type[BaseModel] | type[Document], type[BaseModel], type[BaseModel] | None]:
    """Return what a stage's function takes, what it gives, and its params; `parameters` are without self.

    Raises:
        DefinitionError: it is no function of a stage; the message says why.
    """
    hints = get_type_hints(function)
    if len(parameters) not in (2, 3):
        raise DefinitionError(
            f"stage {name!r}: the function takes (input, context) or (input, context, params)"
        )
    taken = hints.get(parameters[0])
    if taken is not Document and not _is_model(taken):
        raise DefinitionError(f"stage {name!r}: annotate {parameters[0]!r} as Document or a pydantic model")
    if hints.get(parameters[1]) is not StageContext:
        raise DefinitionError(f"stage {name!r}: annotate {parameters[1]!r} as StageContext")
    output = hints.get("return")
    if not _is_model(output):
        raise DefinitionError(f"stage {name!r}: annotate the return value with a pydantic model")
    params = hints.get(parameters[2]) if len(parameters) == 3 else None
    if len(parameters) == 3 and not _is_model(params):
        raise DefinitionError(f"stage {name!r}: annotate {parameters[2]!r} with a pydantic model")
    return taken, cast("type[BaseModel]", output), params  # type: ignore[return-value]


def _needed(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that have to be given."""
    return [each.name for each in parameters_of(function).values() if each.default is each.empty]


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)
