"""Group commit: many changes in one transaction, each of them as careful as if it were alone.

The tasks' compare-and-sets and the creation of their successors are one command, as both are updates:
a task is created by an upsert whose filter cannot match, so that it gets the server's time and an
existing one fails loudly. One transaction for as many changes as have gathered is what makes the
hand-off cheap: it costs three or four round trips, whatever their number.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import bson
import pymongo
from bson.errors import BSONError
from pymongo import InsertOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from pipeline.errors import LeaseLost, MillraceError, PermanentError, StateConflict
from pipeline.model import Change, Write
from pipeline.store.driver import Client, Doc, is_outage, session_uuid, translate

MAX_BATCH = 256
"""Changes in one transaction."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_DOCUMENT_BYTES = 15 * 1024 * 1024
"""Below MongoDB's 16 MiB, for the fields that the commit adds."""

_TRANSIENT = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"
_TRIES = 20

Result = MillraceError | None
"""Of one change: None when it is durable."""


class _Mismatch(Exception):
    """Fewer documents matched than must; the transaction was not committed."""


def encoded_size(change: Change) -> int:
    """Return the bytes that a change adds to its batch.

    Raises:
        PermanentError: one of its documents can't be stored: too large, or not valid text.
    """
    size = 0
    for _, document in change.creates:
        try:
            encoded = len(bson.encode(document))
        except (BSONError, OverflowError, UnicodeError) as error:
            raise PermanentError(f"the output cannot be stored: {error}") from error
        if encoded > MAX_DOCUMENT_BYTES:
            raise PermanentError(
                f"the output has {encoded} bytes, more than {MAX_DOCUMENT_BYTES} in one document"
            )
        size += encoded
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
        """Give the session back."""
        await self._session.end_session()

    async def commit(self, changes: Sequence[Change]) -> list[Result]:
        """Commit changes together; returns, in their order, None or why one could not be.

        `LeaseLost`: the guard did not match, and nothing of that change was written.
        `StateConflict`: what it creates exists already, or a follow-up did not match: never expected.

        A commit whose answer was lost is run again: its own stamp tells it from a lost lease.

        Raises:
            StoreUnavailable: the database is away; nothing is known. Call again with the same changes.
        """
        results: dict[str, Result] = {}
        pending = list(changes)
        while pending:
            try:
                await self._transaction(pending)
                break
            except _Mismatch:
                verdicts = await self._read_back(pending)
                if not verdicts:
                    results |= await self._one_by_one(pending)
                    break
                results |= verdicts
                pending = [change for change in pending if change.id not in verdicts]
            except (BulkWriteError, DuplicateKeyError):
                results |= await self._one_by_one(pending)
                break
        return [results.get(change.id) for change in changes]

    async def _one_by_one(self, changes: Sequence[Change]) -> dict[str, Result]:
        """Commit each alone, so that the one at fault cannot spoil the others."""
        results: dict[str, Result] = {}
        for change in changes:
            try:
                await self._transaction([change])
                results[change.id] = None
            except _Mismatch:
                verdict = await self._read_back([change])
                results[change.id] = verdict.get(change.id, StateConflict("the job is not running any more"))
            except (BulkWriteError, DuplicateKeyError) as error:
                results[change.id] = self._conflict(error)
        return results

    @staticmethod
    def _conflict(error: PyMongoError) -> StateConflict:
        return StateConflict(f"what this change creates exists already: {error}")

    async def _transaction(self, changes: Sequence[Change]) -> None:
        """Run one transaction to its end, again while MongoDB says that again may work."""
        for attempt in range(1, _TRIES + 1):
            try:
                with pymongo.timeout(self._timeout):
                    await self._try_transaction(changes)
            except PyMongoError as error:
                await self._abort()
                if is_outage(error):
                    raise translate(error) from error
                if attempt == _TRIES or not _may_retry(error):
                    raise
            except _Mismatch:
                await self._abort()
                raise
            else:
                return

    async def _abort(self) -> None:
        if self._session.in_transaction:
            await self._session.abort_transaction()

    async def _try_transaction(self, changes: Sequence[Change]) -> None:
        await self._session.start_transaction()
        guards = [change.guard for change in changes]
        creates = _grouped(changes)
        new_tasks = [_create_task(document) for document in creates.pop("tasks", [])]
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
        await self._session.commit_transaction()

    async def _update(self, collection: str, updates: list[UpdateOne], creates: list[UpdateOne]) -> None:
        result = await self._db[collection].bulk_write(
            [*updates, *creates], ordered=False, session=self._session
        )
        if result.matched_count != len(updates) or result.upserted_count != len(creates):
            raise _Mismatch

    async def _read_back(self, changes: Sequence[Change]) -> dict[str, Result]:
        """Tell changes that are durable already (None) and those whose guard fails, from the others."""
        verdicts: dict[str, Result] = {}
        for change in changes:
            guard = change.guard
            collection = self._db[guard.collection]
            try:
                with pymongo.timeout(self._timeout):
                    current = await collection.find_one({"_id": guard.filter["_id"]}, {"commit": 1})
                    if current is not None and current.get("commit") == change.id:
                        verdicts[change.id] = None
                    elif await collection.find_one(dict(guard.filter), {"_id": 1}) is None:
                        verdicts[change.id] = LeaseLost()
            except PyMongoError as error:
                raise translate(error) from error
        return verdicts


def _may_retry(error: PyMongoError) -> bool:
    if error.has_error_label(_TRANSIENT) or error.has_error_label(_UNKNOWN):
        return True
    return isinstance(error, OperationFailure) and error.code == 112  # WriteConflict inside a bulk


def _grouped(changes: Sequence[Change]) -> dict[str, list[Doc]]:
    creates: dict[str, list[Doc]] = defaultdict(list)
    for change in changes:
        for collection, document in change.creates:
            creates[collection].append(dict(document))
    return creates


def _stamped(write: Write, change_id: str) -> UpdateOne:
    return UpdateOne(dict(write.filter), [*write.update, {"$set": {"commit": change_id}}])


def _create_task(document: Doc) -> UpdateOne:
    """An insert with the server's time: the filter matches nothing, so an existing task is a duplicate."""
    times = {"created_at": "$$NOW", **({"run_at": "$$NOW"} if document["run_at"] is None else {})}
    replacement = {"$mergeObjects": [{"$literal": document}, times]}
    return UpdateOne(
        {"_id": document["_id"], "state": "absent"}, [{"$replaceWith": replacement}], upsert=True
    )
