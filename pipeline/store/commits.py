"""Group commit: many changes in one transaction, each of them as careful as if it were alone.

One transaction for as many changes as have gathered is what makes the hand-off cheap: it costs four or
five round trips, whatever their number, and updates that are alike are one statement (see `batch`). A task
that is created as held is inserted; one that is created as ready is upserted with a filter that cannot
match, so that it gets the server's time and an existing one fails loudly.
"""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import bson
import pymongo
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from pipeline.crashpoints import crash_point
from pipeline.errors import Contended, LeaseLost, MillraceError, PermanentError, StateConflict
from pipeline.model import Change
from pipeline.store.batch import Batch, Updates, alike, matching
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
from pipeline.store.workers import Workers

MAX_BATCH = 256
"""Changes in one transaction."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_DOCUMENT_BYTES = 15 * 1024 * 1024
"""Below MongoDB's 16 MiB, for the fields that the commit adds."""

_TASK_BYTES = 2 * 1024
"""Of a task, about."""

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
    """Return the bytes that a change adds to its batch, about.

    Raises:
        PermanentError: something that a stage gave can't be stored: too large, or not valid text.
    """
    given = [document for collection, document in change.creates if collection != "tasks"]
    if not change.creates:  # it may tell of an error
        given = [{"update": write.update} for write in (change.guard, *change.then)]
    return _TASK_BYTES + sum(map(_size, given))


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
        self._workers = Workers(db)
        self._session: AsyncClientSession = client.start_session(causal_consistency=False)
        self._timeout = timeout

    @property
    def session_id(self) -> Any:
        """The id by which a rescuer can end the transaction that a killed process left behind."""
        return session_uuid(self._session.session_id["id"])

    @property
    def operation_time(self) -> Any:
        """An operation time as of which everything that was committed so far can be read."""
        return self._session.operation_time

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

    @translated
    async def run(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Run `work` in a transaction of this session, again while MongoDB says that again may work.

        Raises:
            StoreUnavailable: the database is away, or what it writes stays locked.
        """
        return await self._transaction(lambda: work(self._session))

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
        # The dead hold locks for a minute. What they held by a lease is rescued; the rest is met here.
        await self._workers.end_sessions_of_silent()
        raise Contended(f"what a transaction writes stayed locked by another, {_TRIES} times")

    async def _abort(self) -> None:
        if self._session.in_transaction:
            with anyio.move_on_after(_CLEANUP, shield=True):
                await self._session.abort_transaction()

    async def _write(self, changes: Sequence[Change]) -> None:
        batch = Batch(changes)
        ready = [create_task(task) for task in batch.ready]
        for collection in sorted(batch.guards.keys() | ({"tasks"} if ready else set())):
            await self._update(collection, batch.guards[collection], ready if collection == "tasks" else [])
        for collection, documents in batch.creates.items():
            await self._db[collection].insert_many(documents, ordered=False, session=self._session)
        for collection, updates in batch.follow_ups.items():
            await self._update(collection, updates, [])
        crash_point("commit.written", partial(_subjects, changes))

    async def _update(self, collection: str, updates: Updates, creates: list[UpdateOne]) -> None:
        result = await self._db[collection].bulk_write(
            [*updates.operations, *creates], ordered=False, session=self._session
        )
        if result.matched_count != updates.count or result.upserted_count != len(creates):
            raise _Mismatch

    async def _read_back(self, changes: Sequence[Change]) -> dict[str, Result]:
        """Tell changes that are durable already (None) and those whose guard fails, from the others.

        In a transaction, so that what it reads is as new as what the failed one met, and durable.
        """
        return await self._transaction(partial(self._verdicts, changes))

    async def _verdicts(self, changes: Sequence[Change]) -> dict[str, Result]:
        durable = await self._durable(changes)
        others = [change for change in changes if change.id not in durable]
        unmet = await self._unmet(others)
        return {
            change.id: None if change.id in durable else LeaseLost()
            for change in changes
            if change.id in durable or change.id in unmet
        }

    async def _durable(self, changes: Sequence[Change]) -> set[str]:
        """Look for the changes' stamps, in all that they write: a later change may have replaced some."""
        written: dict[str, list[str]] = defaultdict(list)
        for change in changes:
            written[change.guard.collection].append(change.guard.filter["_id"])
            for collection, document in change.creates:
                written[collection].append(document["_id"])
        stamps = {change.id for change in changes}
        found: set[str] = set()
        for collection, ids in written.items():
            query = {"_id": {"$in": ids}, "commit": {"$in": list(stamps)}}
            cursor = self._db[collection].find(query, {"commit": 1}, session=self._session)
            found |= {each["commit"] async for each in cursor}
        return found

    async def _unmet(self, changes: Sequence[Change]) -> set[str]:
        """Return the changes whose guard doesn't match what it guards."""
        met: set[tuple[str, str]] = set()
        for guards in alike(change.guard for change in changes):
            collection = guards[0].collection
            cursor = self._db[collection].find(matching(guards), {"_id": 1}, session=self._session)
            met |= {(collection, each["_id"]) async for each in cursor}
        return {
            change.id
            for change in changes
            if (change.guard.collection, change.guard.filter["_id"]) not in met
        }


def _may_retry(error: PyMongoError) -> bool:
    if error.has_error_label(_TRANSIENT) or error.has_error_label(_UNKNOWN):
        return True
    return isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT  # inside a bulk


def _subjects(changes: Sequence[Change]) -> list[str]:
    return [str(change.guard.filter["_id"]) for change in changes]


def create_task(document: Mapping[str, Any]) -> UpdateOne:
    """Return an insert with the server's time: its filter matches nothing, so what exists is a duplicate."""
    times = {"created_at": "$$NOW", **({"run_at": "$$NOW"} if document["run_at"] is None else {})}
    replacement = {"$mergeObjects": [{"$literal": document}, times]}
    return UpdateOne(
        {"_id": document["_id"], "state": "absent"}, [{"$replaceWith": replacement}], upsert=True
    )
