"""What one attempt gets from what earlier ones made, or from another that makes it at this moment."""

import logging
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline.model import Task
from pipeline.patience import pauses, until_available
from pipeline.store.memories import Maker, Memories, Question

_log = logging.getLogger("millrace.memory")

_LONGEST_PAUSE = 1.0
"""Seconds between looks for what another attempt makes."""


class Remembering:
    """What the stage remembers for one attempt. While the database is away, its calls wait."""

    def __init__(self, memories: Memories, task: Task, version: int) -> None:
        self._memories = memories
        self._task = task
        self._version = version
        self._making: dict[str, Maker] = {}

    async def recall(self, key: Mapping[str, Any]) -> tuple[Any] | None:
        """Return the value under a key; None: it is this attempt's to make, and others wait for it.

        While another attempt makes it, or another part of this one, this waits for it. One that has ended
        or died meanwhile is replaced.
        """
        question = self._question(key)
        own = Maker(self._task.id, self._task.lease.fence, secrets.token_hex(8))
        waited = False
        async for _ in pauses(_LONGEST_PAUSE):
            found = await until_available(
                lambda: self._memories.look(question), "remembering what was done before"
            )
            if found.value is not None:
                return found.value
            maker = found.maker
            if maker and await self._lives(maker):
                if not waited:
                    _log.debug("%s waits for what %s makes", self._task.id, maker.task)
                waited = True
            elif await self._begin(question, own, maker):
                self._making[question.memory_id] = own
                return None
        raise AssertionError("pauses never end")

    async def _lives(self, maker: Maker) -> bool:
        if (maker.task, maker.fence) == (self._task.id, self._task.lease.fence):
            return maker in self._making.values()
        return await until_available(lambda: self._memories.lives(maker), "waiting for what another makes")

    async def _begin(self, question: Question, own: Maker, instead: Maker | None) -> bool:
        return await until_available(
            lambda: self._memories.begin(question, own, instead), "telling what is being made"
        )

    async def keep(self, key: Mapping[str, Any], value: Any, lifetime: timedelta) -> None:
        """Remember a value for later jobs of the tenant, and those that wait for it."""
        question = self._question(key)
        maker = self._making.get(question.memory_id)
        await until_available(
            lambda: self._memories.keep(question, value, lifetime, maker), "keeping what was done"
        )
        self._making.pop(question.memory_id, None)

    async def give_up(self, key: Mapping[str, Any]) -> None:
        """Let others make what this attempt has not made; does nothing if it wasn't its to make."""
        question = self._question(key)
        maker = self._making.pop(question.memory_id, None)
        if maker is not None:
            await until_available(
                lambda: self._memories.give_up(question, maker), "telling what isn't being made"
            )

    def _question(self, key: Mapping[str, Any]) -> Question:
        return Question(self._task, self._version, key)
