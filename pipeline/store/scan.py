"""Walk a collection in one snapshot, page by page, and leave over what breaks a promise.

Every command is short, so that the walk of a large database holds nothing up, has no memory to burst
and does not meet the client's timeouts, however long it takes as a whole.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from pipeline.errors import StoreError
from pipeline.store.driver import Client, Doc, translate

PAGE = 2000
"""Documents looked at by one command."""

_ADVICE = {
    239: "it took longer than the server keeps the history of a snapshot. Give it more, such as an hour: "
    "db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: 3600})",
    246: "collections or indexes were changed meanwhile, or the server has just started: run it again",
}
"""By server code: SnapshotTooOld, SnapshotUnavailable."""

Stages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """What was found in a part of a collection."""

    checked: int
    violating: list[Any]
    """Ids."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as it was at one point in time."""

    db: AsyncDatabase[Doc]
    session: AsyncClientSession

    async def rows(self, collection: str, stages: Stages, *, batch: int = 1000) -> AsyncIterator[Doc]:
        """Yield what an aggregation gives, `batch` rows at a time from the server."""
        async with await self.db[collection].aggregate(
            list(stages), session=self.session, batchSize=batch
        ) as cursor:
            async for row in cursor:
                yield row


Check = Callable[[Snapshot], AsyncIterator[Page]]
"""Looks at every document that a promise is about."""


@asynccontextmanager
async def snapshot(client: Client, db: AsyncDatabase[Doc]) -> AsyncIterator[Snapshot]:
    """Open a snapshot of the database. Nothing is locked; the server keeps its history for 300 s or more.

    Raises:
        StoreError: the server has not kept it; the message says what to do.
        StoreUnavailable: the server is away.
    """
    async with client.start_session(snapshot=True) as session:
        try:
            yield Snapshot(db, session)
        except OperationFailure as error:
            if error.code not in _ADVICE:
                raise
            raise StoreError(f"The database cannot be verified: {_ADVICE[error.code]}") from translate(error)


async def walk(database: Snapshot, collection: str) -> AsyncIterator[tuple[list[Doc], int]]:
    """Yield the stages that match one page of a collection after the other, with its number of documents."""
    after: list[Any] = []
    while True:
        rest = [_among("$gt", last) for last in after]
        bounds = [*rest, {"$sort": {"_id": 1}}, {"$limit": PAGE}, _BOUNDS]
        found = [row async for row in database.rows(collection, bounds)]
        if not found:
            return
        [bound] = found
        yield [*rest, _among("$lte", bound["last"])], bound["checked"]
        after = [bound["last"]]


def scan(collection: str, violating: Stages) -> Check:
    """Return the check of an aggregation that leaves the violating documents of a collection over."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, collection):
            left = [*page, *violating, {"$project": {"_id": 1}}]
            yield Page(checked, [row["_id"] async for row in database.rows(collection, left)])

    return pages


async def by_id(database: Snapshot, collection: str, ids: Iterable[Any], *fields: str) -> dict[Any, Doc]:
    """Return documents by their ids, with these fields only; with none, the index alone has the answer."""
    wanted = {"$match": {"_id": {"$in": list(ids)}}}
    stages: list[Doc] = [wanted, {"$project": dict.fromkeys(("_id", *fields), 1)}]
    return {row["_id"]: row async for row in database.rows(collection, stages)}


_BOUNDS = {"$group": {"_id": None, "last": {"$max": "$_id"}, "checked": {"$sum": 1}}}


def _among(comparison: str, bound: Any) -> Doc:
    """Compare ids as an expression does: ids of another type than the bound's are compared too."""
    return {"$match": {"$expr": {comparison: ["$_id", {"$literal": bound}]}}}


def join(collection: str, local: str, foreign: str, name: str) -> Doc:
    """Look whole documents up, by an index on `foreign`.

    Ten times as fast as a lookup with a pipeline of its own that would take some fields only, as long as
    nothing but a projection and other lookups come before it.
    """
    return {"$lookup": {"from": collection, "localField": local, "foreignField": foreign, "as": name}}
