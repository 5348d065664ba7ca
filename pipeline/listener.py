"""Change stream → events, for ever.

Four levels, each with one kind of failure:

`run` reopens after errors, with a growing pause; `_listen` starts where the role was, or heals a gap
when that is lost; `_follow` hands events on and saves the position; the stream's `read` waits.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import anyio

from pipeline.crashpoints import crash_point
from pipeline.errors import HistoryLost, StoreError
from pipeline.feed import Feed
from pipeline.patience import pauses
from pipeline.store.changes import (
    WORK,
    WORK_AND_FEED,
    Changes,
    Event,
    OperationTime,
    Pulse,
    Stages,
    Stream,
    cluster_time,
    fingerprint,
)
from pipeline.store.listeners import Listeners, SavedPosition

_log = logging.getLogger("millrace.listener")

SAVE_BUSY, SAVE_IDLE = 1.0, 60.0
"""Seconds between two saves of the position while events come, and while none do."""


class Handler(Protocol):
    """What is done with the events of one role."""

    def on_start(self, position: str) -> None:
        """Events are told from this position on: what was before it, the database has."""
        ...

    def on_event(self, event: Event) -> None:
        """Take note of an event: it hints at something that the database holds, and that is found there."""
        ...

    async def reconcile(self, since: OperationTime | None) -> int:
        """Find, by index and as of `since` at least, what lost events would have told; returns how much."""
        ...


@dataclass(frozen=True, slots=True)
class _Resume:
    """A resume in progress: events up to `until` are replayed ones."""

    token: str
    until: OperationTime

    @property
    def age(self) -> timedelta:
        return timedelta(seconds=max(0, self.until.time - cluster_time(self.token).time))


class Listener:
    """One role's change stream in this process."""

    def __init__(
        self,
        changes: Changes,
        positions: Listeners,
        *,
        role: str,
        member: str,
        handler: Handler,
        feed: Feed | None = None,
    ) -> None:
        """Make one; `feed` is told of everything too, and needs no stream of its own."""
        self.role = role
        self._member = member
        self._changes = changes
        self._positions = positions
        self._stages: Stages = WORK if feed is None else WORK_AND_FEED
        self._handler = handler
        self._feed = feed
        self._pulse = Pulse()
        self._position = ""
        """Up to where everything was handed out."""
        self._saved, self._saved_at = "", float("-inf")
        self._lost: HistoryLost | None = None
        self._following = anyio.Event()

    @property
    def healthy(self) -> bool:
        """True while the stream answers, an event or that there is none, and is not far behind."""
        return self._pulse.healthy

    async def run(self) -> None:
        """Listen until cancelled; whatever ends the stream, it is opened again."""
        while True:
            async for _ in pauses():
                try:
                    await self._listen()
                except StoreError as error:
                    # History lost, also in mid-stream: never try the same position twice.
                    self._lost = error if isinstance(error, HistoryLost) else self._lost
                    was_healthy = self.healthy
                    self._pulse.stop()
                    self._following = anyio.Event()
                    if self._feed is not None:
                        self._feed.pause()
                    _log.warning("listener %s opens its stream again: %s", self.role, error)
                    if was_healthy:
                        break

    async def finish(self) -> None:
        """Save the position once events are followed: a gap that is being closed is not left behind."""
        await self._following.wait()
        await self.save()

    async def save(self) -> None:
        """Save the position now, if it has advanced."""
        position = self._position
        self._saved_at = anyio.current_time()
        if position > self._saved:
            crash_point("token.due")
            await self._positions.save(self.role, position, self._stages)
            crash_point("token.saved")
            self._saved = position

    async def _listen(self) -> None:
        saved = await self._positions.position(self.role)
        if saved is None or self._lost is not None:
            await self._start_over(saved, self._lost)
        elif saved.fingerprint != fingerprint(self._stages):
            await self._start_changed(saved)
        else:
            if saved.gap is not None:
                await self._close_gap(saved)
            resume = _Resume(saved.token, await self._changes.now())
            async with self._changes.open(self._stages, after=saved.token) as stream:
                await self._follow(stream, resume)

    async def _start_changed(self, saved: SavedPosition) -> None:
        """A release changed the stream's pipeline: its token may be refused, its cluster time is good."""
        async with self._changes.open(self._stages, at=cluster_time(saved.token)) as stream:
            await self._handler.reconcile(await self._changes.now())
            await self._follow(stream, _Resume(saved.token, await self._changes.now()))

    async def _start_over(self, saved: SavedPosition | None, lost: HistoryLost | None) -> None:
        """Open a new stream, record the gap before it, reconcile, close the gap.

        The reconciliation reads as of a time after the stream's start, so that between them they see
        every job.
        """
        async with self._changes.open(self._stages) as stream:
            token = stream.token
            if not token:
                raise StoreError("the new stream began with events, and so without a position")
            why = "first start" if lost is None else str(lost)
            since = saved.token if saved else None
            await self._positions.open_gap(self.role, token, self._stages, lost=since, why=why)
            if self._feed is not None and self._feed.position:
                self._feed.lose(lost or HistoryLost("the listener starts afresh"))
            self._lost, self._saved = None, token
            crash_point("gap.opened")
            opened = await self._positions.position(self.role)
            if opened is not None and opened.gap is not None:
                await self._close_gap(opened)
            await self._follow(stream, None)

    async def _close_gap(self, saved: SavedPosition) -> None:
        found = await self._handler.reconcile(await self._changes.now())
        crash_point("gap.healed")
        gap = saved.gap or {}
        level = logging.WARNING if gap.get("from") else logging.INFO
        _log.log(
            level, "listener %s starts afresh (%s): %d jobs were found", self.role, gap.get("why"), found
        )
        await self._positions.close_gap(self.role, gap, found)

    async def _follow(self, stream: Stream, resume: _Resume | None) -> None:
        replayed, handled = 0, False
        self._following.set()
        self._pulse.beat(stream)
        self._position = stream.token if resume is None else resume.token
        if self._position:
            self._handler.on_start(self._position)
        self._tell_feed(None, stream, resume)
        while True:
            event = await stream.read()
            self._pulse.beat(stream)
            self._position = event.token if event else stream.token
            self._tell_feed(event, stream, resume)
            if event is not None:
                replayed += resume is not None and cluster_time(event.token) <= resume.until
                self._handler.on_event(event)
                handled = True
            if resume is not None and (event is None or cluster_time(event.token) > resume.until):
                await self._positions.resumed(self.role, self._member, age=resume.age, events=replayed)
                resume = None
                self._tell_feed(None, stream, resume)
            wait = SAVE_BUSY if handled else SAVE_IDLE
            if (event is None and handled) or anyio.current_time() - self._saved_at >= wait:
                await self.save()
                handled = False

    def _tell_feed(self, event: Event | None, stream: Stream, resume: _Resume | None) -> None:
        """Feed the watchers. They begin with what is: what was before they could come is none of theirs."""
        if self._feed is not None and (resume is None or self._feed.position):
            shown = event is None or event.collection in ("jobs", "tasks", "batches", "")
            self._feed.hear(event if shown else None, stream)
