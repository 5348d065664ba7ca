"""Change streams: what is watched, how it is opened, and events as listeners see them.

A position is a resume token. Tokens are byte-ordered hexadecimal strings that begin with their cluster
time, also those of several events of one transaction, so positions can be compared and aged.
"""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.timestamp import Timestamp
from pymongo.asynchronous.change_stream import AsyncDatabaseChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from pipeline.errors import HistoryLost, StoreError
from pipeline.model import QUIET
from pipeline.store.driver import Doc, is_outage, translate, translated

HISTORY_LOST_CODES = frozenset(
    {
        136,  # CappedPositionLost: an open cursor whose place in the oplog was overwritten
        286,  # ChangeStreamHistoryLost: a token older than the oplog
        280,  # ChangeStreamFatalError: a token of another pipeline or namespace, among others
        260,  # InvalidResumeToken
        10334,  # BSONObjectTooLarge: an event that can't be delivered
    }
)
"""Server codes after which a stream can't go on from where it was; the driver resumes none of them."""

_NOT_THE_TOKEN = frozenset({13, 18})
"""Unauthorized, AuthenticationFailed: a new stream would be refused as well."""

OperationTime = Timestamp
"""A point in the history of the replica set."""

MAX_AWAIT = timedelta(seconds=5)
"""How long the server holds an empty getMore. A listener that heard nothing for much longer is unwell."""

MAX_LAG = timedelta(seconds=10)
"""How far behind the server a stream may be before it is better not to wait for it."""

_TIMESTAMP_TYPE = 0x82

Stages = Sequence[Mapping[str, Any]]

_JOB_FIELDS = (
    "tenant",
    "pipeline",
    "pipeline_version",
    "priority",
    "run_at",
    "deadline",
    "state",
    "traceparent",
    "batch",
)
_SHOWN_FIELDS = (
    "created_at",
    "metadata",
    "skip",
    *(f"document.{name}" for name in ("name", "type", "size", "sha256")),
)
_TASK_FIELDS = ("queue", "stage", "state", "lease.until", "attempt", "max_attempts", "progress")

_BATCH_FIELDS = ("name", "total", "counts", "cancelled", "finished_at")

_PROJECTION: Doc = {
    "operationType": 1,
    "clusterTime": 1,
    "ns.coll": 1,
    "documentKey": 1,
    "updateDescription.updatedFields": 1,
    **{
        f"fullDocument.{name}": 1
        for name in sorted(
            {
                *_JOB_FIELDS,
                *_SHOWN_FIELDS,
                *_TASK_FIELDS,
                *_BATCH_FIELDS,
                "queues",
                "concurrency",
                "rates",
                "service",
                "wait",
            }
        )
    },
}


def _changed(field: str) -> Doc:
    return {f"updateDescription.updatedFields.{field}": {"$exists": True}}


def _changed_inside(path: str) -> Doc:
    """Match the change of one member of a subdocument, which an event names by its dotted path."""
    value = {"$getField": {"field": {"$literal": path}, "input": "$updateDescription.updatedFields"}}
    return {"$expr": {"$ne": [{"$type": value}, "missing"]}}


def _updated(collection: str, *states: str) -> Doc:
    change = {"$in": list(states)} if states else {"$exists": True}
    return {
        "ns.coll": collection,
        "operationType": "update",
        "updateDescription.updatedFields.state": change,
    }


def _watching(*events: Doc) -> Stages:
    """Match what a listener needs: only operation types, and fields that the event itself carries."""
    ends = {"operationType": {"$in": ["drop", "rename", "dropDatabase", "invalidate"]}}
    return [{"$match": {"$or": [*events, ends]}}, {"$project": _PROJECTION}]


_CREATED: Doc = {"operationType": {"$in": ["insert", "replace"]}}
_PEERS: Doc = {"ns.coll": "workers", "operationType": {"$in": ["insert", "delete"]}}
_CONTROLS: Doc = {
    "ns.coll": {"$in": ["controls", "limits", "budgets", "refills"]},
    "operationType": {"$in": ["insert", "replace", "delete"]},
}
_BATCHES: Doc = {"ns.coll": "batches", "operationType": {"$in": ["insert", "replace", "update"]}}
_SCHEDULES: Doc = {"ns.coll": "schedules", **_CREATED}
_SHOWN: list[Doc] = [
    {"ns.coll": {"$in": ["jobs", "tasks"]}, **_CREATED},
    _BATCHES,
    _updated("jobs"),
    {
        "ns.coll": "tasks",
        "operationType": "update",
        "$or": [
            _changed("state"),
            _changed("progress"),
            _changed_inside("progress.done"),
            _changed_inside("progress.total"),
            _changed_inside("progress.note"),
        ],
    },
]

WORK = _watching(
    {
        "operationType": "update",
        "updateDescription.updatedFields.state": {
            "$in": ["submitted", "ready", "running", "failed", "cancelled"]
        },
        "updateDescription.updatedFields.commit": {"$not": {"$gte": QUIET}},
    },
    {
        "operationType": {"$in": ["insert", "replace", "delete"]},
        "fullDocument.state": {"$ne": "running"},
        "fullDocument.claim_id": {"$exists": False},  # that of an output
        "$expr": {
            "$in": [
                "$ns.coll",
                [
                    "jobs",
                    "tasks",
                    "workers",
                    "controls",
                    "limits",
                    "schedules",
                    "budgets",
                    "refills",
                ],
            ]
        },
    },
)
"""For workers: what there is to do, and what others have begun or ended; not what goes its usual way, and
not what a worker has begun that was alone.

The server asks this of every write there is. A branch for each collection took it twice as long. The
collection's name is an expression, as the server looks at these last: as a condition of its own it becomes a
regular expression for each name and several more, and those are looked at first, which took a third longer.
"""

FEED = _watching(*_SHOWN)
"""For those who watch: every job and task, every change of a state, and progress."""

WORK_AND_FEED = _watching(*_SHOWN, _PEERS, _CONTROLS, _SCHEDULES)
"""For a worker whose stream feeds watchers too."""


def fingerprint(stages: Stages) -> str:
    """Return a short hash of a stream's pipeline: a token is only good for the pipeline that gave it."""
    return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Event:
    """A change event, reduced to what listeners need."""

    collection: str
    operation: str
    """insert, update or replace; drop, rename, dropDatabase or invalidate end the stream."""
    id: str
    """`_id` of the changed document."""
    fields: Mapping[str, Any]
    """Of an insert or replace, the document's; of an update, those that changed, see `_nested`."""
    token: str
    """The position right after this event."""

    @property
    def at(self) -> datetime:
        """When it happened, by the server's clock, to a second."""
        return datetime.fromtimestamp(cluster_time(self.token).time, UTC)


def cluster_time(token: str) -> OperationTime:
    """Return the cluster time with which a token begins.

    Raises:
        ValueError: this is no resume token.
    """
    raw = bytes.fromhex(token)
    if len(raw) < 9 or raw[0] != _TIMESTAMP_TYPE:
        raise ValueError("not a resume token")
    return Timestamp(int.from_bytes(raw[1:5], "big"), int.from_bytes(raw[5:9], "big"))


class Stream:
    """One open change stream."""

    def __init__(self, stream: AsyncDatabaseChangeStream[Doc], session: AsyncClientSession) -> None:
        self._stream = stream
        self._session = session

    @property
    def lag(self) -> timedelta:
        """How far what was handed out is behind the history of the set, by the server's own clock."""
        now, token = self._session.operation_time, self.token
        if now is None or not token:
            return timedelta(0)
        return timedelta(seconds=max(0, now.time - cluster_time(token).time))

    @property
    def token(self) -> str:
        """The position up to which everything was handed out; advances on idle reads too."""
        token = self._stream.resume_token
        return str(token["_data"]) if token else ""

    async def read(self) -> Event | None:
        """Return the next event, or None when there was none within the stream's waiting time.

        Raises:
            HistoryLost: the stream can't go on from here.
            StoreError: the stream ended, which it never does by itself.
            StoreUnavailable: the database can't be reached.
        """
        try:
            change = await self._stream.try_next()
        except PyMongoError as error:
            raise _translate(error) from error
        if change is not None:
            return _event(change)
        if not self._stream.alive:
            raise StoreError("the change stream ended by itself")
        return None


def _translate(error: PyMongoError, *, from_token: bool = False) -> StoreError:
    """Return our error; whatever else the server says of a token, that token can't be started from.

    Damaged tokens are refused with a dozen codes of their own (9, 50793, 50811, 50816 …).
    """
    if not isinstance(error, OperationFailure) or is_outage(error):
        return translate(error)
    if error.code in HISTORY_LOST_CODES or (from_token and error.code not in _NOT_THE_TOKEN):
        return HistoryLost(f"the change stream cannot go on ({error.code}): {error}")
    return translate(error)


def _event(change: Mapping[str, Any]) -> Event:
    operation = change["operationType"]
    if operation in ("insert", "replace"):
        fields = change.get("fullDocument") or {}
    else:
        fields = _nested(change.get("updateDescription", {}).get("updatedFields", {}))
    return Event(
        collection=change.get("ns", {}).get("coll", ""),
        operation=operation,
        id=str(change.get("documentKey", {}).get("_id", "")),
        fields=fields,
        token=str(change["_id"]["_data"]),
    )


def _nested(changed: Mapping[str, Any]) -> Doc:
    """Turn the dotted paths of what changed into nested values: of `progress` only some members may be there.

    Elements that were added to `errors` come as a list of their own. What changed inside of its other
    elements, as all move up when the oldest is dropped, is left out.
    """
    fields: Doc = {}
    for path, value in changed.items():
        name, _, rest = path.partition(".")
        element, _, member = rest.partition(".")
        if not rest:
            fields[name] = value
        elif element.isdigit():
            if not member:
                fields.setdefault(name, []).append(value)
        else:
            fields.setdefault(name, {})[rest] = value
    return fields


HEARD_WITHIN = 2 * MAX_AWAIT + MAX_LAG
"""Of what happened that long ago, a listener whose stream is well has heard."""


class Pulse:
    """Whether a stream is well: it answered within ten seconds, if only with nothing, and keeps up."""

    def __init__(self) -> None:
        self._heard = float("-inf")
        self._stream: Stream | None = None

    @property
    def lag(self) -> timedelta:
        """How far behind the server the stream is, or was when it ended."""
        return timedelta(0) if self._stream is None else self._stream.lag

    def beat(self, stream: Stream) -> None:
        """The stream has answered."""
        self._heard = time.monotonic()
        self._stream = stream

    def stop(self) -> None:
        """The stream has ended."""
        self._heard = float("-inf")

    @property
    def healthy(self) -> bool:
        """True while the stream can be relied on."""
        return time.monotonic() - self._heard < 2 * MAX_AWAIT.total_seconds() and self.lag <= MAX_LAG


class Changes:
    """The change stream of the database."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._db = db

    @asynccontextmanager
    async def open(
        self,
        stages: Stages,
        *,
        after: str | None = None,
        at: OperationTime | None = None,
        wait: timedelta = MAX_AWAIT,
    ) -> AsyncIterator[Stream]:
        """Open a stream: right after a token, of everything from an operation time on, or from now.

        `wait` is how long a read that finds nothing waits.

        Raises:
            HistoryLost: it can't start at this position.
            StoreUnavailable: the database can't be reached.
        """
        start: Doc = {"start_after": {"_data": after}} if after else {"start_at_operation_time": at}
        limit = self._db.client.options.timeout  # a read must end well within it
        longest = wait if limit is None else min(wait, timedelta(seconds=limit / 2))
        milliseconds = int(longest / timedelta(milliseconds=1))
        async with self._db.client.start_session(causal_consistency=False) as session:
            try:
                stream = await self._db.watch(
                    list(stages), max_await_time_ms=milliseconds, session=session, **start
                )
            except PyMongoError as error:
                raise _translate(error, from_token=after is not None) from error
            async with stream:
                yield Stream(stream, session)

    @translated
    async def now(self) -> OperationTime:
        """Return the server's present operation time."""
        reply = await self._db.command("ping")
        time: OperationTime = reply["operationTime"]
        return time
