"""Server-sent events: what is, then everything that changes, without a hole between them.

Events: `job` (a whole job), `stage` (what changed of one stage), `state` (what changed of the job
itself), `end` (the stream closes), `heartbeat` (only an id, in quiet times). Ids are sealed resume
tokens, for `Last-Event-ID`.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from api.messages import Message, message
from api.seals import Seals
from api.teller import Teller
from pipeline.client import Client
from pipeline.errors import HistoryLost
from pipeline.feed import Feed, Subscription
from pipeline.model import FINAL_STATES
from pipeline.store.changes import Event

Messages = list[Message]
"""What a watcher is told at once, in order."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One watcher's stream: of one job, or of all of a tenant's."""

    feed: Feed
    seals: Seals
    teller: Teller
    client: Client
    heartbeat: float
    """Seconds."""
    job: str | None = None

    async def messages(self, last_event_id: str | None) -> AsyncGenerator[Messages, None]:
        """Yield messages until the job has ended, or for ever when all jobs are watched.

        Raises:
            BadRequest: `last_event_id` is not of this server.
            NotFound: this tenant has no such job.
        """
        after = self.seals.open(last_event_id) if last_event_id else None
        await self.feed.opened()
        with self.feed.subscribe(self._topic) as subscription:
            begin = self._snapshot(subscription) if after is None else self._missed(subscription, after)
            for part in (begin, self._following(subscription)):
                async with aclosing(part):
                    async for messages in part:
                        yield messages
                        if messages[-1].event == "end":
                            return

    @property
    def _topic(self) -> str:
        return self.job or self.client.tenant

    async def _missed(self, subscription: Subscription, after: str) -> AsyncGenerator[Messages, None]:
        """Yield what happened since `after`; when that can't be told any more, what is."""
        # Read before the replay, which therefore holds the end, unless that was before `after`.
        before = await self.client.get(self.job) if self.job is not None else None
        subscription.skip_to(after)
        try:
            async for missed in self.feed.replay(after, self._topic):
                subscription.skip_to(missed.token)
                if messages := self._told([missed]):
                    yield messages
        except HistoryLost:
            async for messages in self._snapshot(subscription):
                yield messages
            return
        if before is not None and before.state in FINAL_STATES:
            yield [self._end(before.state)]

    async def _snapshot(self, subscription: Subscription) -> AsyncGenerator[Messages, None]:
        if self.job is None:
            yield [self._heartbeat(subscription.position)]
            return
        now = await self.client.get(self.job)
        yield [message("job", now.model_dump(mode="json"), self.seals.seal(subscription.position))]
        if now.state in FINAL_STATES:
            yield [self._end(now.state)]

    async def _following(self, subscription: Subscription) -> AsyncGenerator[Messages, None]:
        while True:
            heard: list[Event] | None = None
            with anyio.move_on_after(self.heartbeat):
                heard = await subscription.receive()
            if heard is None:
                yield [self._heartbeat(self.feed.position)]
                continue
            if not heard:
                return  # cut off: the watcher lagged, or history was lost; it comes back by its last id
            # The replay may have told some of them.
            if messages := self._told([event for event in heard if event.token > subscription.position]):
                yield messages

    def _told(self, events: list[Event]) -> Messages:
        """Say events to this watcher, the last of all when its job has ended."""
        told: Messages = []
        for event in events:
            told += self.teller.tell(event)
            state = event.fields.get("state")
            if event.id == self.job and event.operation != "insert" and state in FINAL_STATES:
                return [*told, self._end(state)]
        return told

    def _heartbeat(self, position: str) -> Message:
        return message("heartbeat", {}, self.seals.seal(position))

    def _end(self, state: str) -> Message:
        return message("end", {"job": self.job, "state": state})
