"""A job's questions: each answer is paid for once, also when another job of the same tenant asks the same."""

from collections.abc import Callable
from typing import Any, TypeVar

from pipeline import StageContext
from stages.endpoint.client import Message
from stages.endpoint.completion import Completion
from stages.endpoint.purse import Purse
from stages.endpoint.question import ask
from stages.endpoint.reply import Reply
from stages.endpoint.settings import LlmSettings
from stages.endpoint.tokens import Counter
from stages.outputs import Usage

R = TypeVar("R", bound=Reply)


class Questions:
    """What one job asks of an endpoint; with `force` also what was asked before."""

    def __init__(self, context: StageContext, purse: Purse, settings: LlmSettings, *, force: bool) -> None:
        self._context = context
        self._purse = purse
        self._lifetime = settings.remember
        self._force = force

    @property
    def counter(self) -> Counter:
        """See `Endpoint.counter`."""
        return self._purse.counter

    async def ask(
        self, messages: list[Message], schema: dict[str, Any], read: Callable[[Completion], R], type_: type[R]
    ) -> R:
        """Ask, see `question.ask`, or give the answer that another job got, which costs nothing now."""
        asked = False

        async def anew() -> R:
            nonlocal asked
            asked = True
            reply = await ask(self._purse, messages, schema, read)
            if reply.usage.total_tokens:  # some endpoints don't tell: then what was reserved stays taken
                self._context.used("tokens", reply.usage.total_tokens)
            return reply

        if not self._lifetime:
            return await anew()
        key = {"endpoint": list(self._purse.key), "messages": list[Any](messages), "schema": schema}
        reply = await self._context.remember(key, anew, type_, lifetime=self._lifetime, fresh=self._force)
        if asked:
            return reply
        self._context.used("tokens", 0)
        return reply.model_copy(update={"usage": Usage()})
