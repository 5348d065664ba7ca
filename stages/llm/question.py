"""Asks a model one question: ask, check the answer, let it correct a wrong one once."""

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from pipeline import TemporaryError
from stages.llm.answer import Answer, answer_schema
from stages.llm.completion import Completion
from stages.llm.endpoint import Message
from stages.llm.form import Form
from stages.llm.prompt import repair
from stages.outputs import Usage

# A wrong answer is shown to the model again, but not one that fills its context.
_SHOWN = 4000
_CUT_OFF = "it was cut off at the limit of tokens; answer with fewer fields and a shorter summary"


class Reading(BaseModel):
    """A valid answer and what it took, all calls added up."""

    answer: Answer
    model: str | None
    usage: Usage


class Asked(Protocol):
    """What answers questions: an `Endpoint`, or one that is paid for."""

    async def complete(self, messages: Sequence[Message], schema: dict[str, Any]) -> Completion:
        """Ask for one completion, see `Endpoint.complete`."""
        ...


async def ask(endpoint: Asked, messages: Sequence[Message], form: Form | None = None) -> Reading:
    """Return the model's answer to `messages`, its data in this form.

    Raises:
        TemporaryError: also the second answer is not of the schema, or see `Endpoint.complete`.
        PermanentError: see `Endpoint.complete`.
    """
    schema = answer_schema(form)
    first = await endpoint.complete(messages, schema)
    answer, problem = _check(first, form)
    if answer is not None:
        return Reading(answer=answer, model=first.model, usage=first.usage)
    second = await endpoint.complete(repair(messages, first.text[:_SHOWN], problem), schema)
    answer, problem = _check(second, form)
    if answer is None:
        raise TemporaryError(f"the model's answer cannot be used, corrected once: {problem}")
    return Reading(answer=answer, model=second.model, usage=total_usage([first.usage, second.usage]))


def total_usage(usages: Sequence[Usage]) -> Usage:
    """Return the sum."""
    return Usage(
        prompt_tokens=sum(each.prompt_tokens for each in usages),
        completion_tokens=sum(each.completion_tokens for each in usages),
        total_tokens=sum(each.total_tokens for each in usages),
        uncounted=sum(each.uncounted for each in usages),
    )


def _check(completion: Completion, form: Form | None) -> tuple[Answer | None, str]:
    """Return the answer, or None and what is wrong with it, in words that repeat nothing of it."""
    try:
        answer = Answer.parse(completion.text)
    except ValidationError as error:
        if completion.cut_off:
            return None, _CUT_OFF
        problems = error.errors(include_input=False, include_url=False, include_context=False)[:5]
        return None, "; ".join(_problem(each["loc"], each["type"], each["msg"]) for each in problems)
    if form is None:
        return answer.model_copy(update={"data": None}), ""
    wrong = form.problem(answer.data)
    return (answer, "") if wrong is None else (None, wrong)


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(step) for step in place) or "the answer"
    return f"{where}: {'it is not a JSON object' if kind == 'json_invalid' else message}"
