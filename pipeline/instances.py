"""The objects of stages that are classes: made and prepared once in a worker, closed when it ends."""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any, Self

import anyio
from anyio import to_thread

from pipeline.errors import PreparationFailed
from pipeline.stage import Stage

_log = logging.getLogger("millrace.worker")

CLOSE_SECONDS = 10.0
"""Longest that one `close` is waited for."""


class Instances:
    """What a worker, or a trial, calls its stages on: `async with`, then `prepare`."""

    def __init__(self) -> None:
        self._made: dict[type[Any], tuple[str, Any]] = {}

    async def __aenter__(self) -> Self:
        """Nothing is made yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what was prepared, the last one first."""
        for name, made in reversed(self._made.values()):
            await _close(name, made)
        self._made.clear()

    async def prepare(self, stages: Iterable[Stage]) -> None:
        """Make and prepare the objects of these stages, one after the other; those that are there are kept.

        Raises:
            PreparationFailed: one could not be; the message says which and why.
        """
        for stage in stages:
            if stage.made_by is None or stage.made_by in self._made:
                continue
            try:
                made = stage.made_by()
                await _call(getattr(made, "prepare", None))
            except Exception as error:
                raise PreparationFailed(
                    f"stage {stage.name!r} could not be prepared: {type(error).__name__}: {error}"
                ) from error
            self._made[stage.made_by] = stage.name, made

    def of(self, stage: Stage) -> tuple[Any, ...]:
        """Return what goes before a stage's own arguments: its object, if it is a class."""
        return () if stage.made_by is None else (self._made[stage.made_by][1],)


async def _call(method: Callable[[], Any] | None) -> None:
    """Call a method if there is one, a plain one in a thread."""
    if method is None:
        return
    if inspect.iscoroutinefunction(method):
        await method()
    else:
        await to_thread.run_sync(method, abandon_on_cancel=True)


async def _close(name: str, made: Any) -> None:
    """Close one; whatever it raises holds nothing else up."""
    with anyio.move_on_after(CLOSE_SECONDS, shield=True) as waiting:
        try:
            await _call(getattr(made, "close", None))
        except Exception:  # noqa: BLE001 -- the worker ends anyway, and the others are closed too
            _log.exception("stage %s could not be closed", name)
    if waiting.cancelled_caught:
        _log.error("closing stage %s took longer than %g s: left", name, CLOSE_SECONDS)
