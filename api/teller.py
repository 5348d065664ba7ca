"""Says change events in the words of the API, from what they carry alone, so that a replay is the same."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from api.messages import Message, message
from api.seals import Seals
from pipeline.model import job_of, pipeline_of, revision_of, stage_of
from pipeline.store.changes import Event
from pipeline.views import StageView, job_view, stage_fields

_KEPT = 1024
"""Events whose messages are kept: a watcher is told an event right after the one before it was."""
_BATCH_FIELDS = ("state", "total", "cancelled", "counts", "finished_at")
_STATE_FIELDS = ("state", "error", "started_at", "finished_at")


class Teller:
    """Makes the messages of an event once, for all who watch in this process."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals
        self._told: OrderedDict[str, list[Message]] = OrderedDict()
        self.stage_names: Mapping[str, Sequence[str]] = {}
        """Of every pipeline, for jobs that are not admitted yet."""

    def tell(self, event: Event) -> list[Message]:
        """Return an event's messages."""
        told = self._told.get(event.token)
        if told is None:
            told = self._told[event.token] = self._messages(event)
            if len(self._told) > _KEPT:
                self._told.popitem(last=False)
        return told

    def _messages(self, event: Event) -> list[Message]:
        sealed = self._seals.seal(event.token)
        if event.collection == "batches":
            changed = {name: event.fields[name] for name in _BATCH_FIELDS if name in event.fields}
            return [message("batch", {"batch": event.id, **changed}, sealed)]
        if event.collection == "tasks":
            return [message("stage", data, sealed) for data in self._stages(event)]
        if event.operation == "insert":
            names = self.stage_names.get(event.fields["pipeline"], [])
            view = job_view({"_id": event.id, **event.fields}, [], names)
            return [message("job", view.model_dump(mode="json"), sealed)]
        shown = {name: event.fields[name] for name in _STATE_FIELDS if name in event.fields}
        return [message("state", {"job": event.id, **shown}, sealed)]

    def _stages(self, event: Event) -> list[dict[str, Any]]:
        changed = stage_fields(event.fields)
        if not changed:
            return []
        if event.operation == "insert" and revision_of(event.id) > 1:
            return self._begun_again(event)
        return [{"job": job_of(event.id), "name": stage_of(event.id), **changed}]

    def _begun_again(self, event: Event) -> list[dict[str, Any]]:
        """Say all of a stage that is run again, and that those after it wait for it."""
        stage = stage_of(event.id)
        names = list(self.stage_names.get(pipeline_of(event.fields["queue"]), [stage]))
        views = [StageView(name=stage, **stage_fields(event.fields))]
        skip = event.fields.get("skip", ())
        views += [StageView(name=name) for name in names[names.index(stage) + 1 :] if name not in skip]
        return [{"job": job_of(event.id), **view.model_dump(mode="json")} for view in views]
