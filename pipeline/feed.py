"""What watchers see: one change stream in this process, handed to any number of subscribers.

A watcher misses nothing: it subscribes, reads what is, and gets every change from then on; or it comes
back with the position of the last event it saw, and what lies between is replayed.
"""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import anyio

from pipeline.errors import HistoryLost, StoreError
from pipeline.model import job_of, tenant_of
from pipeline.patience import pauses
from pipeline.store.changes import FEED, Changes, Event, Pulse, Stream

_log = logging.getLogger("millrace.feed")

BUFFER = 4096
"""Events that a subscriber may lag behind. One that lags more is cut off, and comes back by position."""

_NO_WAIT = timedelta(milliseconds=1)
"""An empty answer that comes at once says that there is no more; the server takes 0 for its default."""


def topics(event: Event) -> tuple[str, str]:
    """Return under which topics an event is published: its job's id, and its tenant."""
    return job_of(event.id), tenant_of(event.id)


class Subscription:
    """Events from `position` on, for one watcher."""

    def __init__(self, position: str) -> None:
        self.position = position
        self._events: list[Event] = []
        self._heard = anyio.Event()
        self._cut_off = False

    @property
    def is_cut_off(self) -> bool:
        """True when nothing more will come."""
        return self._cut_off

    def skip_to(self, position: str) -> None:
        """Note that the watcher has everything up to there, so that it is not told again."""
        self.position = max(self.position, position)

    def offer(self, event: Event) -> None:
        """Keep an event for the watcher; cut it off when it lags too far behind."""
        if len(self._events) < BUFFER and not self._cut_off:
            self._events.append(event)
            self._heard.set()
        else:
            self.cut_off()

    def cut_off(self) -> None:
        """End the subscription: what was heard until now is the last."""
        self._cut_off = True
        self._heard.set()

    async def receive(self) -> list[Event]:
        """Wait for events, and return all that there are; none when the subscription was cut off."""
        if not self._events and not self._cut_off:
            self._heard = anyio.Event()
            await self._heard.wait()
        heard, self._events = self._events, []
        return heard


class Feed:
    """The process's stream of everything that people may watch.

    `run` it in a task group; or give it to the process's `Worker`, whose change stream then feeds it too.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._subscriptions: defaultdict[str, set[Subscription]] = defaultdict(set)
        """By topic: an event costs as much as it has watchers, however many others there are."""
        self._position = ""
        self._opened = anyio.Event()
        self._pulse = Pulse()

    @property
    def healthy(self) -> bool:
        """True while the stream answers and is not far behind."""
        return self._pulse.healthy

    @property
    def position(self) -> str:
        """Up to where everything was handed out."""
        return self._position

    async def run(self) -> None:
        """Read until cancelled; whatever ends the stream, it is opened again where it was."""
        while True:
            async for _ in pauses():
                try:
                    async with self._changes.open(FEED, after=self._position or None) as stream:
                        await self._read(stream)
                except HistoryLost as error:
                    self.lose(error)
                except StoreError as error:
                    _log.warning("the feed opens its stream again: %s", error)
                    was_healthy = self.healthy
                    self.pause()
                    if was_healthy:
                        break

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        """Subscribe to the events after `position` of a job, or of all jobs of a tenant."""
        subscription = Subscription(self._position)
        self._subscriptions[topic].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[topic].discard(subscription)
            if not self._subscriptions[topic]:
                del self._subscriptions[topic]

    def close(self) -> None:
        """End every subscription: the process stops. Watchers come back, to whoever serves then."""
        self._cut_off()

    async def opened(self) -> None:
        """Wait until there is a position to start from."""
        await self._opened.wait()

    async def replay(self, after: str, topic: str) -> AsyncIterator[Event]:
        """Yield everything of a topic that happened from a watcher's position until now.

        The last of it may come by its subscription too.

        Raises:
            HistoryLost: that is too long ago; read what is, instead.
        """
        async with self._changes.open(FEED, after=after, wait=_NO_WAIT) as stream:
            while (event := await stream.read()) is not None:
                if topic in topics(event):
                    yield event

    async def _read(self, stream: Stream) -> None:
        self.hear(None, stream)
        while True:
            self.hear(await stream.read(), stream)

    def hear(self, event: Event | None, stream: Stream) -> None:
        """Hand an event on, unless it was before; or note how far the stream is when there was none."""
        self._pulse.beat(stream)
        token = event.token if event else stream.token
        if token > self._position:
            if event is not None:
                self._publish(event)
            self._position = token
        if token:
            self._opened.set()

    def pause(self) -> None:
        """The stream has ended, and is opened again where it was."""
        self._pulse.stop()

    def lose(self, error: HistoryLost) -> None:
        """The stream can't go on: there are changes that no watcher will be told."""
        _log.warning("watchers have to start afresh: %s", error)
        self._position = ""
        self._opened = anyio.Event()
        self._cut_off()

    def _publish(self, event: Event) -> None:
        for topic in topics(event):
            for subscription in self._subscriptions.get(topic, ()):
                subscription.offer(event)

    def _cut_off(self) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.cut_off()
