"""The driver's client as the engine needs it, and its errors as ours."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote
from uuid import UUID

import anyio
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from pipeline.errors import NotAReplicaSet, StoreError, StoreUnavailable
from pipeline.settings import StoreSettings

Doc = dict[str, Any]
Client = AsyncMongoClient[Doc]

UNSTORABLE = (BSONError, OverflowError, UnicodeError)
"""What the driver raises for values that MongoDB cannot hold."""

P = ParamSpec("P")
R = TypeVar("R")

_UNAVAILABLE = (
    AutoReconnect,
    ConnectionFailure,
    NetworkTimeout,
    ServerSelectionTimeoutError,
    ExecutionTimeout,
    WTimeoutError,
)
_PASSING = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11601, 11602, 13435, 13436, 14031})
"""Server codes of a stepdown, an election, a shutdown, a lost connection, a killed session, a full disk."""
_ILLEGAL_OPERATION = 20
"""A standalone's answer to a transaction."""


class _SteadyClient(AsyncMongoClient[Doc]):
    """A client whose waiting for a server can be cancelled.

    anyio cancels again and again until a task gives in. On Python 3.11, whose `wait_for` waits in a task of
    its own, the driver's waits do not survive a second time: "Lock is not acquired", and nobody can use the
    client any more.
    """

    async def _select_server(self, *args: Any, **kwargs: Any) -> Any:
        waiting = asyncio.ensure_future(super()._select_server(*args, **kwargs))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            waiting.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([waiting])
            raise


_CLIENT = _SteadyClient if sys.version_info < (3, 12) else AsyncMongoClient


def make_client(settings: StoreSettings) -> Client:
    """Make a client for the engine. It connects at its first operation.

    Majority and journal are set on the client, as transactions inherit from there alone.

    Raises:
        StoreError: no URI, or one that cannot be understood.
    """
    if settings.mongodb_uri is None:
        raise StoreError(
            "MILLRACE_MONGODB_URI is not set. Set it to your replica set's connection string, "
            "or use `millrace up`, which starts a mongod of its own."
        )
    uri = settings.mongodb_uri.get_secret_value()
    try:
        return _CLIENT(
            uri,
            tz_aware=True,
            uuidRepresentation="standard",
            retryWrites=True,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            # Of every operation as a whole, with its retries: also of a write that waits for a majority.
            timeoutMS=_milliseconds(settings.timeout),
            serverSelectionTimeoutMS=_milliseconds(settings.timeout),
            connectTimeoutMS=min(10_000, _milliseconds(settings.timeout)),
            appname=_app_name(uri),
        )
    except (ConfigurationError, InvalidURI) as error:
        raise StoreError(f"MILLRACE_MONGODB_URI cannot be used: {error}") from error


async def require_replica_set(client: Client) -> None:
    """Check that the server has change streams and transactions.

    Raises:
        NotAReplicaSet: it is a standalone, or a replica set that was not initiated.
        StoreUnavailable: it cannot be reached.
    """
    hello = await translated(client.admin.command)("hello")
    if hello.get("setName") or hello.get("msg") == "isdbgrid":
        return
    if hello.get("isreplicaset"):
        raise NotAReplicaSet("The replica set is not initiated: run `rs.initiate()` on this mongod once.")
    raise NotAReplicaSet


def translated(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Decorate a coroutine function so that the driver's errors leave it as ours, chained."""

    @wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except PyMongoError as error:
            raise translate(error) from error

    return wrapper


def translate(error: PyMongoError) -> StoreError:
    """Return our error for the driver's."""
    if is_outage(error):
        return StoreUnavailable(f"MongoDB is not available (see MILLRACE_MONGODB_URI): {_told(error)}")
    if isinstance(error, OperationFailure) and error.code == _ILLEGAL_OPERATION:
        return NotAReplicaSet()
    return StoreError(f"MongoDB refused: {_told(error)}")


def _told(error: PyMongoError) -> str:
    """Return what the server said, without the documents that the driver quotes beside it."""
    details: Any = getattr(error, "details", None) or {}
    failures = details.get("writeErrors") or details.get("writeConcernErrors") or [details]
    told = failures[0].get("errmsg")
    return f"{failures[0].get('code')}: {told}" if told else str(error)


def is_outage(error: PyMongoError) -> bool:
    """Tell whether the database, not the operation, is at fault, so that the same may work later.

    That a write was done, but is not known to be on a majority, is an outage too.
    """
    if isinstance(error, (*_UNAVAILABLE, WriteConcernError)) or error.timeout:
        return True
    if not isinstance(error, OperationFailure):
        return False
    details = error.details or {}
    failures = details.get("writeErrors") or []
    unconfirmed = details.get("writeConcernErrors") and not failures
    return bool(unconfirmed) or error.code in _PASSING or any(each["code"] in _PASSING for each in failures)


@asynccontextmanager
async def reading(client: Client, as_of: Any) -> AsyncIterator[AsyncClientSession]:
    """Open a session whose reads see at least what was durable at an operation time.

    After a failover a new primary serves majority reads that are older than what the one before it had
    acknowledged, until it has caught up; these reads wait for that. None: no such time.
    """
    async with client.start_session(causal_consistency=True) as session:
        if as_of is not None:
            session.advance_operation_time(as_of)
        yield session


async def until_first(
    collection: AsyncCollection[Doc], query: Mapping[str, Any], field: str
) -> timedelta | None:
    """Return the time from the server's now until the earliest `field`; None when nothing matches.

    One indexed read of one document. Never negative.
    """
    stages: list[Mapping[str, Any]] = [
        {"$match": query},
        {"$sort": {field: 1}},
        {"$limit": 1},
        {"$project": {"remaining": {"$subtract": [f"${field}", "$$NOW"]}}},
    ]
    async for found in await collection.aggregate(stages):
        return timedelta(milliseconds=max(0, found["remaining"]))
    return None


def session_uuid(lsid: Any) -> UUID:
    """Return a logical session's id as a UUID."""
    return lsid if isinstance(lsid, UUID) else lsid.as_uuid()


def _app_name(uri: str) -> str:
    """Return the name by which the server's log knows us: the URI's own, else ours."""
    own = re.search(r"[?&]appname=([^&]+)", uri, re.IGNORECASE)
    return unquote(own[1]) if own else "millrace"


def _milliseconds(duration: timedelta) -> int:
    return int(duration / timedelta(milliseconds=1))
