"""Server-sent events: what is, then everything that changes, without a hole between them.

Events: `job` (a whole job), `stage` (what changed of one stage), `state` (what changed of the job
itself), `end` (the stream closes), `heartbeat` (only an id, in quiet times). Ids are sealed resume
tokens, for `Last-Event-ID`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from fastapi.sse import ServerSentEvent

from api.seals import Seals
from pipeline.client import Client
from pipeline.errors import HistoryLost
from pipeline.feed import Feed, Subscription
from pipeline.model import FINAL_STATES, job_of, pipeline_of, revision_of, stage_of, tenant_of
from pipeline.store.changes import Event
from pipeline.views import JobView, StageView, job_view, stage_fields


@dataclass(frozen=True, slots=True)
class Watch:
    """One watcher's stream: of one job, or of all of a tenant's."""

    feed: Feed
    seals: Seals
    client: Client
    heartbeat: float
    """Seconds."""
    stage_names: Mapping[str, Sequence[str]]
    """Of every pipeline, for jobs that are not admitted yet."""
    job: str | None = None

    async def events(self, last_event_id: str | None) -> AsyncIterator[ServerSentEvent]:
        """Yield events until the job has ended, or for ever when all jobs are watched.

        Raises:
            BadRequest: `last_event_id` is not of this server.
            NotFound: this tenant has no such job.
        """
        after = self.seals.open(last_event_id) if last_event_id else None
        await self.feed.opened()
        with self.feed.subscribe(self._wanted) as subscription:
            begin = self._snapshot(subscription) if after is None else self._missed(subscription, after)
            for part in (begin, self._following(subscription)):
                async for event in part:
                    yield event
                    if event.event == "end":
                        return

    async def _missed(self, subscription: Subscription, after: str) -> AsyncIterator[ServerSentEvent]:
        """Yield what happened since `after`; when that can't be told any more, what is."""
        # Read before the replay, which therefore holds the end, unless that was before `after`.
        before = await self.client.get(self.job) if self.job is not None else None
        subscription.skip_to(after)
        try:
            async for missed in self.feed.replay(after, self._wanted):
                subscription.skip_to(missed.token)
                for event in self._told(missed):
                    yield event
        except HistoryLost:
            async for event in self._snapshot(subscription):
                yield event
            return
        if before is not None and before.state in FINAL_STATES:
            yield self._end(before.state)

    async def _snapshot(self, subscription: Subscription) -> AsyncIterator[ServerSentEvent]:
        if self.job is None:
            yield self._heartbeat(subscription.position)
            return
        now = await self.client.get(self.job)
        yield ServerSentEvent(event="job", data=_json(now), id=self.seals.seal(subscription.position))
        if now.state in FINAL_STATES:
            yield self._end(now.state)

    async def _following(self, subscription: Subscription) -> AsyncIterator[ServerSentEvent]:
        while True:
            heard: Event | None = None
            try:
                with anyio.move_on_after(self.heartbeat):
                    heard = await subscription.events.receive()
            except anyio.EndOfStream:
                return  # cut off: the watcher lagged, or history was lost; it comes back by its last id
            if heard is not None and heard.token <= subscription.position:
                continue  # told by the replay
            if heard is None:
                yield self._heartbeat(self.feed.position)
                continue
            for event in self._told(heard):
                yield event

    def _wanted(self, event: Event) -> bool:
        if self.job is None:
            return tenant_of(event.id) == self.client.tenant
        return event.id == self.job or job_of(event.id) == self.job

    def _told(self, event: Event) -> list[ServerSentEvent]:
        """Say an event in the words of this API, from what it carries alone, so that a replay is the same."""
        sealed = self.seals.seal(event.token)
        if event.collection == "tasks":
            changed = stage_fields(event.fields)
            if not changed:
                return []
            told = [{"job": job_of(event.id), "name": stage_of(event.id), **changed}]
            if event.operation == "insert" and revision_of(event.id) > 1:
                told = self._begun_again(event)
            return [ServerSentEvent(event="stage", data=data, id=sealed) for data in told]
        if event.operation == "insert":
            names = self.stage_names.get(event.fields["pipeline"], [])
            view = job_view({"_id": event.id, **event.fields}, [], names)
            return [ServerSentEvent(event="job", data=_json(view), id=sealed)]
        shown = ("state", "error", "started_at", "finished_at")
        data = {"job": event.id, **{name: event.fields[name] for name in shown if name in event.fields}}
        state = [ServerSentEvent(event="state", data=data, id=sealed)]
        if self.job is not None and event.fields.get("state") in FINAL_STATES:
            state.append(self._end(event.fields["state"]))
        return state

    def _begun_again(self, event: Event) -> list[dict[str, Any]]:
        """Say all of a stage that is run again, and that those after it wait for it."""
        stage = stage_of(event.id)
        names = list(self.stage_names.get(pipeline_of(event.fields["queue"]), [stage]))
        views = [StageView(name=stage, **stage_fields(event.fields))]
        views += [StageView(name=name) for name in names[names.index(stage) + 1 :]]
        return [{"job": job_of(event.id), **view.model_dump(mode="json")} for view in views]

    def _heartbeat(self, position: str) -> ServerSentEvent:
        return ServerSentEvent(event="heartbeat", data={}, id=self.seals.seal(position))

    def _end(self, state: str) -> ServerSentEvent:
        return ServerSentEvent(event="end", data={"job": self.job, "state": state})


def _json(view: JobView) -> dict[str, Any]:
    return view.model_dump(mode="json")
