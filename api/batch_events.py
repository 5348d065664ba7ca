"""A batch, watched: all of it whenever it has changed, and its end, once.

What changes is read again and not told event by event: of thousands of jobs, their numbers are what is
watched. A change event only says that there may be something new to read.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from api.messages import Message, message
from api.seals import Seals
from pipeline.client import Client
from pipeline.feed import Feed, Subscription
from pipeline.model import FINAL_STATES
from pipeline.store.changes import Event
from pipeline.views import BatchView

PAUSE = 0.2
"""Seconds between two readings: so often may the numbers on somebody's screen change."""


@dataclass(frozen=True, slots=True)
class BatchWatch:
    """One watcher's stream of one batch."""

    feed: Feed
    seals: Seals
    client: Client
    heartbeat: float
    """Seconds."""
    batch: str

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield messages until the batch has ended.

        Raises:
            NotFound: this tenant has no such batch.
        """
        await self.feed.opened()
        with self.feed.subscribe(self.client.tenant) as subscription:
            told: BatchView | None = None
            while not subscription.is_cut_off:
                now = await self.client.batch(self.batch)
                if now != told:
                    yield self._whole(now)
                told = now
                if now.state in FINAL_STATES:
                    yield message("end", {"batch": self.batch, "state": now.state})
                    return
                await anyio.sleep(PAUSE)
                async with aclosing(self._waiting(subscription)) as waiting:
                    async for heartbeat in waiting:
                        yield heartbeat

    async def _waiting(self, subscription: Subscription) -> AsyncGenerator[Message, None]:
        """Yield heartbeats until there may be something new, or the subscription was cut off."""
        while True:
            heard: list[Event] | None = None
            with anyio.move_on_after(self.heartbeat):
                heard = await subscription.receive()
            if heard is None:
                yield message("heartbeat", {}, self.seals.seal(self.feed.position))
            elif not heard or any(self._concerns(event) for event in heard):
                return

    def _concerns(self, event: Event) -> bool:
        """Tell whether an event may change the numbers; only a job's insert says of which batch it is."""
        if event.collection == "batches":
            return event.id == self.batch
        if event.operation == "insert":
            return event.fields.get("batch") == self.batch
        return event.collection == "jobs"

    def _whole(self, now: BatchView) -> Message:
        return message("batch", now.model_dump(mode="json"), self.seals.seal(self.feed.position))


async def encoded(watch: BatchWatch) -> AsyncGenerator[bytes, None]:
    """Yield a watcher's messages as they are sent."""
    async with aclosing(watch.messages()) as told:
        async for each in told:
            yield each.encoded
