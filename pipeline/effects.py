"""Effects outside of MongoDB, such as a mail: done at most once over all attempts of a task.

Each leaves notes with its task: `begun` before, `done` after it, with what it returned; `undone` when it
said that it was not done. One that has begun, and neither, may have been done: nobody knows.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Protocol, TypeVar

import anyio
from pydantic import TypeAdapter

from pipeline.errors import InDoubt, Snooze, TemporaryError

T = TypeVar("T")


class Notes(Protocol):
    """Where the notes are kept; every call may raise `LeaseLost`."""

    async def effects(self) -> Mapping[str, Any]:
        """Return those of earlier attempts, of whichever version of the stage."""
        ...

    async def note(self, key: str, value: Any) -> None:
        """Add one, durably."""
        ...

    async def trusted(self) -> None:
        """Return while this attempt surely holds its task; while that isn't known, wait."""
        ...


class Effects:
    """The effects of one attempt."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._noted: dict[str, Any] | None = None
        self._under_way: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def once(self, key: str, effect: Callable[[], Awaitable[T]], adapter: TypeAdapter[T]) -> T:
        """Do an effect, or return what it returned before; one call at a time for each key.

        Raises:
            InDoubt: it may have been done before.
        """
        async with self._under_way[key]:
            return await self._once(key, effect, adapter)

    async def _once(self, key: str, effect: Callable[[], Awaitable[T]], adapter: TypeAdapter[T]) -> T:
        if self._noted is None:
            self._noted = dict(await self._notes.effects())
        noted, done = self._noted, f"{key}.done"
        if done in noted:
            return adapter.validate_python(noted[done])
        time = next(each for each in count(1) if f"{key}.{each}.begun" not in noted)
        if time > 1 and f"{key}.{time - 1}.undone" not in noted:
            raise InDoubt(
                f"an earlier attempt may have done {key!r}: look there; "
                "if it was not done, run the job again from this stage"
            )
        await self._notes.trusted()
        await self._note(f"{key}.{time}.begun", None)
        try:
            value = await effect()
        except (TemporaryError, Snooze):
            await self._note(f"{key}.{time}.undone", None)
            raise
        await self._note(done, adapter.dump_python(value, mode="json"))
        return value

    async def _note(self, key: str, value: Any) -> None:
        await self._notes.note(key, value)
        if self._noted is not None:
            self._noted[key] = value
