"""Group commit: many changes in one transaction, each of them as careful as if it were alone.

The tasks' compare-and-sets and the creation of their successors are one command, as both are updates:
a task is created by an upsert whose filter cannot match, so that it gets the server's time and an
existing one fails loudly. One transaction for as many changes as have gathered is what makes the
hand-off cheap: it costs three or four round trips, whatever their number.
"""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import bson
import pymongo
from pymongo import InsertOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from pipeline.crashpoints import crash_point
from pipeline.errors import Contended, LeaseLost, MillraceError, PermanentError, StateConflict
from pipeline.model import Change, Write
from pipeline.store.driver import (
    UNSTORABLE,
    Client,
    Doc,
    is_outage,
    session_uuid,
    translate,
    translated,
)
from pipeline.store.refusals import refusal_of

MAX_BATCH = 256
"""Changes in one transaction."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_DOCUMENT_BYTES = 15 * 1024 * 1024
"""Below MongoDB's 16 MiB, for the fields that the commit adds."""

_TRANSIENT = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"
_TRIES = 20
"""Of a transaction that meets others: their pauses add up to about a second."""
_CLEANUP = 2.0
"""Seconds for taking a transaction back."""
_WRITE_CONFLICT = 112
T = TypeVar("T")
Result = MillraceError | None
"""Of one change: None when it is durable."""


class _Mismatch(Exception):
    """Fewer documents matched than must; the transaction was not committed."""


def encoded_size(change: Change) -> int:
    """Return the bytes that a change adds to its batch.

    Raises:
        PermanentError: something that it writes can't be stored: too large, or not valid text.
    """
    updates = [{"update": list(write.update)} for write in (change.guard, *change.then)]
    return sum(_size(document) for document in [*updates, *(document for _, document in change.creates)])


def _size(document: Mapping[str, Any]) -> int:
    try:
        size = len(bson.encode(document))
    except UNSTORABLE as error:
        raise PermanentError(f"the output cannot be stored: {error}") from error
    if size > MAX_DOCUMENT_BYTES:
        raise PermanentError(f"the output has {size} bytes, more than {MAX_DOCUMENT_BYTES} in one document")
    return size


class Commits:
    """Commits changes on a session of its own, one transaction at a time."""

    def __init__(self, client: Client, db: AsyncDatabase[Doc], timeout: float) -> None:
        self._db = db
        self._session: AsyncClientSession = client.start_session(causal_consistency=False)
        self._timeout = timeout

    @property
    def session_id(self) -> Any:
        """The id by which a rescuer can end the transaction that a killed process left behind."""
        return session_uuid(self._session.session_id["id"])

    async def close(self) -> None:
        """Give the session back; what it has not committed is aborted."""
        with anyio.move_on_after(_CLEANUP, shield=True):
            await self._session.end_session()

    @translated
    async def commit(self, changes: Sequence[Change]) -> list[Result]:
        """Commit changes together; returns, in their order, None or why one could not be.

        `LeaseLost`: the guard did not match, and nothing of that change was written.
        `StateConflict`: what it creates exists already, or a follow-up did not match: never expected.
        `PermanentError`: the database refuses what it writes.
        `Contended`: it stayed locked by another transaction; call again with it.

        A commit whose answer was lost is run again: its own stamp tells it from a lost lease.

        Raises:
            StoreUnavailable: the database is away; nothing is known. Call again with the same changes.
        """
        results: dict[str, Result] = {}
        pending = list(changes)
        while pending:
            try:
                await self._transaction(partial(self._write, pending))
                crash_point("commit.done", partial(_subjects, pending))
                break
            except _Mismatch:
                verdicts = await self._read_back(pending)
                if not verdicts:
                    results |= await self._one_by_one(pending)
                    break
                results |= verdicts
                pending = [change for change in pending if change.id not in verdicts]
            except OperationFailure:
                results |= await self._one_by_one(pending)
                break
            except Contended as error:
                results |= await self._one_by_one(pending) if len(pending) > 1 else {pending[0].id: error}
                break
        return [results.get(change.id) for change in changes]

    async def _one_by_one(self, changes: Sequence[Change]) -> dict[str, Result]:
        """Commit each alone, so that the one at fault cannot spoil the others."""
        results: dict[str, Result] = {}
        for change in changes:
            refusal: MillraceError
            try:
                await self._transaction(partial(self._write, [change]))
                continue
            except _Mismatch:
                refusal = StateConflict("the job is not running any more")
            except OperationFailure as error:
                refusal = refusal_of(error)
            except Contended as error:
                results[change.id] = error
                continue
            # What it creates exists already when this very change, or a later holder's, is durable.
            results |= {change.id: refusal} | await self._read_back([change])
        return results

    async def _transaction(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run one transaction to its end, again while MongoDB says that again may work."""
        for tried in range(_TRIES):
            try:
                with pymongo.timeout(self._timeout):
                    await self._session.start_transaction()
                    result = await work()
                    await self._session.commit_transaction()
            except PyMongoError as error:
                await self._abort()
                if is_outage(error):
                    raise translate(error) from error
                if not _may_retry(error):
                    raise
            except BaseException:  # a mismatch, or this process stops: leave no locks behind
                await self._abort()
                raise
            else:
                return result
            await anyio.sleep(random.uniform(0, min(0.1, 0.002 * 2**tried)))  # noqa: S311 -- jitter
        raise Contended(f"what a transaction writes stayed locked by another, {_TRIES} times")

    async def _abort(self) -> None:
        if self._session.in_transaction:
            with anyio.move_on_after(_CLEANUP, shield=True):
                await self._session.abort_transaction()

    async def _write(self, changes: Sequence[Change]) -> None:
        guards = [change.guard for change in changes]
        creates = _grouped(changes)
        new_tasks = [create_task(document) for document in creates.pop("tasks", [])]
        for collection in sorted(
            {guard.collection for guard in guards} | ({"tasks"} if new_tasks else set())
        ):
            updates = [
                _stamped(change.guard, change.id)
                for change in changes
                if change.guard.collection == collection
            ]
            await self._update(collection, updates, new_tasks if collection == "tasks" else [])
        for collection, documents in creates.items():
            await self._db[collection].bulk_write(
                [InsertOne(document) for document in documents], ordered=False, session=self._session
            )
        follow_ups: dict[str, list[UpdateOne]] = defaultdict(list)
        for change in changes:
            for write in change.then:
                follow_ups[write.collection].append(_stamped(write, change.id))
        for collection, updates in follow_ups.items():
            await self._update(collection, updates, [])
        crash_point("commit.written", partial(_subjects, changes))

    async def _update(self, collection: str, updates: list[UpdateOne], creates: list[UpdateOne]) -> None:
        result = await self._db[collection].bulk_write(
            [*updates, *creates], ordered=False, session=self._session
        )
        if result.matched_count != len(updates) or result.upserted_count != len(creates):
            raise _Mismatch

    async def _read_back(self, changes: Sequence[Change]) -> dict[str, Result]:
        """Tell changes that are durable already (None) and those whose guard fails, from the others.

        In a transaction, so that what it reads is as new as what the failed one met, and durable.
        """
        return await self._transaction(partial(self._verdicts, changes))

    async def _verdicts(self, changes: Sequence[Change]) -> dict[str, Result]:
        verdicts: dict[str, Result] = {}
        for change in changes:
            if await self._is_durable(change):
                verdicts[change.id] = None
            elif not await self._is_there(change.guard.collection, change.guard.filter):
                verdicts[change.id] = LeaseLost()
        return verdicts

    async def _is_durable(self, change: Change) -> bool:
        """Look for the change's stamp: a later change may have replaced the guarded document's."""
        written = [(change.guard.collection, change.guard.filter["_id"])]
        written += [(collection, document["_id"]) for collection, document in change.creates]
        for collection, key in written:
            if await self._is_there(collection, {"_id": key, "commit": change.id}):
                return True
        return False

    async def _is_there(self, collection: str, query: Mapping[str, Any]) -> bool:
        return await self._db[collection].find_one(query, {"_id": 1}, session=self._session) is not None


def _may_retry(error: PyMongoError) -> bool:
    if error.has_error_label(_TRANSIENT) or error.has_error_label(_UNKNOWN):
        return True
    return isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT  # inside a bulk


def _subjects(changes: Sequence[Change]) -> list[str]:
    return [str(change.guard.filter["_id"]) for change in changes]


def _grouped(changes: Sequence[Change]) -> dict[str, list[Doc]]:
    creates: dict[str, list[Doc]] = defaultdict(list)
    for change in changes:
        for collection, document in change.creates:
            creates[collection].append({**document, "commit": change.id})
    return creates


def _stamped(write: Write, change_id: str) -> UpdateOne:
    return UpdateOne(dict(write.filter), [*write.update, {"$set": {"commit": change_id}}])


def create_task(document: Mapping[str, Any]) -> UpdateOne:
    """Return an insert with the server's time: its filter matches nothing, so what exists is a duplicate."""
    times = {"created_at": "$$NOW", **({"run_at": "$$NOW"} if document["run_at"] is None else {})}
    replacement = {"$mergeObjects": [{"$literal": document}, times]}
    return UpdateOne(
        {"_id": document["_id"], "state": "absent"}, [{"$replaceWith": replacement}], upsert=True
    )
