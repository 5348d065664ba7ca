"""What operators do, from Python: pause and resume, drain workers, set limits, close breakers."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from pipeline.breaker import Breaker, hold
from pipeline.errors import DefinitionError, NotFound, Unavailable
from pipeline.model import SERVICE, TENANT_PATTERN
from pipeline.store import Store
from pipeline.store.controls import breaker_of

_TENANT = re.compile(TENANT_PATTERN)
_LONGEST_REASON = 500
MOST_CONCURRENCY = 100_000


class PauseView(BaseModel):
    """Something that is paused."""

    subject: str
    """`stage:documents/ocr`, `pipeline:documents`, `tenant:acme` or `worker:name`."""
    reason: str | None = None
    at: datetime | None = None


class ServiceView(BaseModel):
    """An outside service that is left alone."""

    subject: str
    """`service:openai`."""
    state: Literal["away", "probing", "held"]
    """Away until the next probe; being asked by one attempt; or held by an operator, until it is resumed."""
    reason: str
    since: datetime
    until: datetime | None
    """When the next probe may begin; None: an operator has to resume it."""
    failures: int
    """How often in a row it was found to be away."""
    stages: list[str]
    """What is parked, such as `stage:documents/llm`."""


class LimitView(BaseModel):
    """How many tasks of a subject may run at once, over all workers."""

    subject: str
    """`stage:documents/llm`, `tenant:acme`, `key:openai`, or each that begins alike: `tenant:*`."""
    concurrency: int
    running: int | None = None
    """How many run now; None for what is limited one by one."""


class Operator:
    """What an operator does, over all tenants.

    Subjects are ``stage:documents/ocr`` (of all versions), ``pipeline:documents``, ``tenant:acme`` and
    ``worker:name``; of outside services ``service:openai``. Every worker hears of a change within a second;
    attempts that run are never interrupted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def pause(self, subject: str, reason: str | None = None) -> PauseView:
        """Let nothing of a subject begin until it is resumed; a second pause changes nothing.

        Raises:
            NotFound: there is no such stage, pipeline or live worker, or this can't be a tenant's name.
        """
        await self._check(subject)
        if subject.startswith(SERVICE):
            breaker, _, _ = await self._store.controls.change(subject, hold((reason or "")[:_LONGEST_REASON]))
            return _held(subject, breaker)
        return _view(await self._store.controls.pause(subject, reason and reason[:_LONGEST_REASON]))

    async def resume(self, subject: str) -> PauseView:
        """Let a subject go on; returns the pause that ended. A service is taken to be back.

        Raises:
            NotFound: it is not paused.
        """
        paused = {each["_id"]: each for each in await self._store.controls.list()}
        if subject not in paused or not await self._store.controls.resume(subject):
            told = ", ".join(paused) or "nothing"
            raise NotFound(f"{subject[:200]} is not paused; paused: {told}")
        return _view(paused[subject])

    async def pauses(self) -> list[PauseView]:
        """Return everything that is paused, drained workers and services that are held included."""
        return [_view(each) for each in await self._store.controls.list() if not _is_away(each)]

    async def services(self) -> list[ServiceView]:
        """Return the outside services that are left alone, by name, with why and until when."""
        return [
            ServiceView(
                subject=each["_id"],
                state=breaker.state(each["now"]),
                reason=breaker.why,
                since=breaker.since,
                until=breaker.due,
                failures=breaker.failures,
                stages=list(breaker.stages),
            )
            for each in await self._store.controls.list()
            if (breaker := breaker_of(each)) is not None
        ]

    async def drain(self, worker: str, reason: str | None = None) -> PauseView:
        """Let a worker begin nothing more; what it runs goes on to its end, and it stays until it is stopped.

        Raises:
            NotFound: no worker of that name is alive.
        """
        return await self.pause(f"worker:{worker}", reason)

    async def running(self, worker: str) -> int:
        """Return how many tasks a worker holds; at 0 a drained one can be stopped and interrupts none."""
        return (await self._store.waits.held()).get(worker, 0)

    async def limit(self, subject: str, concurrency: int) -> LimitView:
        """Let at most that many tasks of a subject run at once, over all workers.

        What runs already is counted, and goes on. `tenant:*`, or `key:openai/*`, limits each one that begins
        so for itself; a longer name goes before a shorter one.

        Raises:
            NotFound: there is no such stage, or what can't be limited.
            ValueError: the concurrency isn't from 1 to 100,000.
        """
        if not 1 <= concurrency <= MOST_CONCURRENCY:
            raise ValueError(f"a concurrency is from 1 to {MOST_CONCURRENCY}; to stop something, pause it")
        kind, _, name = subject.partition(":")
        if kind not in ("stage", "tenant", "key") or not name or "#" in name:
            raise NotFound(f"{subject[:80]!r} can't be limited: stage:, tenant: and key: can")
        if not name.endswith("*") and kind != "key":
            await self._check(subject)
        await self._store.limits.set(subject, concurrency)
        return await self._limit_view(subject, concurrency)

    async def unlimit(self, subject: str) -> LimitView:
        """Take a limit away; returns it.

        Raises:
            NotFound: there is none.
        """
        limits = await self._store.limits.list()
        if subject not in limits or not await self._store.limits.remove(subject):
            raise NotFound(f"{subject[:200]} is not limited; limited: {', '.join(limits) or 'nothing'}")
        return await self._limit_view(subject, limits[subject])

    async def limits(self) -> list[LimitView]:
        """Return all limits."""
        return [await self._limit_view(*each) for each in (await self._store.limits.list()).items()]

    async def _limit_view(self, subject: str, concurrency: int) -> LimitView:
        running = None if subject.endswith("*") else (await self._store.limits.running())[subject]
        return LimitView(subject=subject, concurrency=concurrency, running=running)

    async def _check(self, subject: str) -> None:
        kind, _, name = subject.partition(":")
        match kind:
            case "tenant":
                if not _TENANT.fullmatch(name):
                    raise NotFound(f"{name[:80]!r} can't be a tenant: {TENANT_PATTERN}")
            case "service":
                try:
                    Unavailable.check(name)
                except DefinitionError as error:
                    raise NotFound(str(error)) from None
            case "worker":
                _require(kind, name, [each["_id"] for each in await self._store.workers.alive()])
            case "pipeline":
                _require(kind, name, {each["name"] for each in await self._store.pipelines.list()})
            case "stage":
                stages = {
                    f"{each['name']}/{stage['name']}"
                    for each in await self._store.pipelines.list()
                    for stage in each["stages"]
                }
                _require(kind, name, stages)
            case _:
                raise NotFound(
                    f"{kind[:80]!r} can't be paused: stage, pipeline, tenant and worker can, and service"
                )


def _require(kind: str, name: str, known: Any) -> None:
    if name not in known:
        told = ", ".join(sorted(known)) or "none"
        raise NotFound(f"there is no {kind} {name[:80]!r}; there are: {told}")


def _held(subject: str, breaker: Breaker | None) -> PauseView:
    return PauseView(subject=subject, reason=(breaker and breaker.why) or None, at=breaker and breaker.since)


def _is_away(control: Mapping[str, Any]) -> bool:
    breaker = breaker_of(control)
    return breaker is not None and breaker.until is not None


def _view(control: Mapping[str, Any]) -> PauseView:
    breaker = breaker_of(control)
    if breaker is not None:
        return _held(control["_id"], breaker)
    return PauseView(subject=control["_id"], reason=control.get("reason"), at=control.get("at"))
