"""Wait for the database: work is suspended while it is away, not lost."""

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import anyio

from pipeline.errors import StoreUnavailable

_log = logging.getLogger("millrace.store")
_FIRST, _LONGEST = 0.1, 5.0

T = TypeVar("T")


async def pauses(longest: float = _LONGEST) -> AsyncIterator[None]:
    """Yield at once, then after pauses that double up to `longest` seconds, a random half taken off."""
    pause = min(_FIRST, longest)
    while True:
        yield
        await anyio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 -- jitter, no secret
        pause = min(2 * pause, longest)


async def until_available(call: Callable[[], Awaitable[T]], what: str) -> T:
    """Call until the database is there; `what` is said in the log meanwhile. Other errors are raised."""
    try:
        return await call()
    except StoreUnavailable as error:
        _log.warning("%s waits for the database: %s", what, error)
    async for _ in pauses():
        try:
            return await call()
        except StoreUnavailable as error:
            _log.warning("%s waits for the database: %s", what, error)
    raise AssertionError("pauses never end")
