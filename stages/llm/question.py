"""Reads what a model answers about a document."""

from pydantic import ValidationError

from stages.endpoint.completion import Completion
from stages.endpoint.reply import Reply, Unusable
from stages.llm.answer import Answer
from stages.llm.form import Form

_CUT_OFF = "it was cut off at the limit of tokens; answer with fewer fields and a shorter summary"


class Reading(Reply):
    """A valid answer about a document, or a part of one."""

    answer: Answer


def read(completion: Completion, form: Form | None) -> Reading:
    """Return the answer in a completion, its data in this form.

    Raises:
        Unusable: it is none.
    """
    try:
        answer = Answer.parse(completion.text)
    except ValidationError as error:
        raise (Unusable(_CUT_OFF) if completion.cut_off else Unusable.of(error)) from None
    wrong = None if form is None else form.problem(answer.data)
    if wrong is not None:
        raise Unusable(wrong)
    if form is None:
        answer = answer.model_copy(update={"data": None})
    return Reading(answer=answer, model=completion.model, usage=completion.usage)
