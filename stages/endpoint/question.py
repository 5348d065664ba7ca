"""Asks a model one question: ask, check the answer, let it correct a wrong one once."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from pipeline import TemporaryError
from stages.endpoint.client import Message
from stages.endpoint.completion import Completion
from stages.endpoint.fence import repair
from stages.endpoint.reply import Reply, Unusable, total_usage

R = TypeVar("R", bound=Reply)
# A wrong answer is shown to the model again, but not one that fills its context.
_SHOWN = 4000


class Asked(Protocol):
    """What answers questions: an `Endpoint`, or one that is paid for."""

    async def complete(self, messages: Sequence[Message], schema: dict[str, Any]) -> Completion:
        """Ask for one completion, see `Endpoint.complete`."""
        ...


async def ask(
    endpoint: Asked, messages: Sequence[Message], schema: dict[str, Any], read: Callable[[Completion], R]
) -> R:
    """Return the model's answer to `messages`; `read` checks it, and raises `Unusable` for a wrong one.

    Raises:
        TemporaryError: also the second answer is not of the schema, or see `Endpoint.complete`.
        PermanentError: see `Endpoint.complete`.
    """
    first = await endpoint.complete(messages, schema)
    try:
        return read(first)
    except Unusable as wrong:
        correction = repair(messages, first.text[:_SHOWN], str(wrong))
    second = await endpoint.complete(correction, schema)
    try:
        reply = read(second)
    except Unusable as wrong:
        raise TemporaryError(f"the model's answer cannot be used, corrected once: {wrong}") from None
    return reply.model_copy(update={"usage": total_usage([first.usage, second.usage])})
