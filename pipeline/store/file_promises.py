"""The promise about bytes in GridFS: none belong to nobody, and none are missing.

A client with a driver of its own stores the bytes first and inserts its job last, with no intent in
`uploads`: files and chunks that nothing refers to count only when they are older than a grace period,
by the server's clock.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any

from pipeline.store.driver import Doc
from pipeline.store.scan import Check, Page, Snapshot, join, scan

FILES = 500
"""Files that are compared with their chunks at once."""
CHUNKS = 64
"""Chunks that the server measures for one answer; a chunk has a megabyte, another driver's up to 16."""


def files_have_owners(grace: timedelta) -> Check:
    """Leave files over that no job, output, schedule or upload refers to."""
    return scan(
        "documents.files",
        [
            {"$match": {"$expr": {"$lte": ["$uploadDate", _ago(grace)]}}},
            join("jobs", "_id", "document.file_id", "job"),
            join("outputs", "_id", "file_id", "output"),
            join("schedules", "_id", "job.document.file_id", "schedule"),
            join("uploads", "_id", "_id", "upload"),
            {"$match": {"job": [], "output": [], "schedule": [], "upload": []}},
        ],
    )


def files_have_chunks() -> Check:
    """Leave files over that have a length, but no chunk."""
    return scan(
        "documents.files",
        [
            {"$match": {"length": {"$gt": 0}}},
            _FIRST_CHUNK,
            {"$match": {"chunks": []}},
        ],
    )


def chunks_are_whole(grace: timedelta) -> Check:
    """Leave files over whose chunks are not all there in full length, and ids of chunks without a file."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        gathered: list[_Chunks] = []
        async for chunks in _by_file(database, grace):
            gathered.append(chunks)
            if len(gathered) == FILES:
                yield await _compare(database, gathered)
                gathered = []
        yield await _compare(database, gathered)

    return pages


def referred_files_are_there(collection: str, file_id: str, size: str) -> Check:
    """Leave documents over whose file in GridFS is missing, or of another size than they say."""
    return scan(
        collection,
        [
            {"$match": {file_id: {"$exists": True}}},
            {"$project": {file_id: 1, size: 1}},
            join("documents.files", file_id, "_id", "file"),
            {"$match": {"$expr": {"$ne": [{"$first": "$file.length"}, f"${size}"]}}},
        ],
    )


@dataclass(slots=True)
class _Chunks:
    """All chunks of one file."""

    file: Any
    count: int = 0
    size: int = 0
    last: int = -1
    old: bool = True

    def make_up(self, file: Doc) -> bool:
        """Tell whether they are this file's bytes, from the first to the last."""
        wanted = ceil(file["length"] / file["chunkSize"])
        # Some drivers write one empty chunk for an empty file.
        empty = not file["length"] and not self.size
        return empty or (self.size == file["length"] and self.count == wanted == self.last + 1)


async def _by_file(database: Snapshot, grace: timedelta) -> AsyncIterator[_Chunks]:
    """Measure the chunks on the server, in the order of their index."""
    born = {"$convert": {"input": "$_id", "to": "date", "onError": None, "onNull": None}}
    fields = {
        "_id": 0,
        "files_id": 1,
        "n": 1,
        "size": {"$binarySize": "$data"},
        "old": {"$lte": [born, _ago(grace)]},
    }
    stages: list[Doc] = [{"$sort": {"files_id": 1, "n": 1}}, {"$project": fields}]
    current: _Chunks | None = None
    async for row in database.rows("documents.chunks", stages, batch=CHUNKS):
        if current is None or current.file != row["files_id"]:
            if current is not None:
                yield current
            current = _Chunks(row["files_id"])
        current.count += 1
        current.size += row["size"]
        current.last = row["n"]
        current.old = current.old and row["old"]
    if current is not None:
        yield current


async def _compare(database: Snapshot, gathered: list[_Chunks]) -> Page:
    ids = [chunks.file for chunks in gathered]
    files = {each["_id"]: each for each in await _of(database, "documents.files", ids)}
    uploading = {each["_id"] for each in await _of(database, "uploads", ids)}
    return Page(
        sum(chunks.count for chunks in gathered),
        [
            chunks.file
            for chunks in gathered
            if (
                not chunks.make_up(files[chunks.file])
                if chunks.file in files
                else chunks.old and chunks.file not in uploading
            )
        ],
    )


async def _of(database: Snapshot, collection: str, ids: Iterable[Any]) -> list[Doc]:
    wanted: list[Doc] = [
        {"$match": {"_id": {"$in": list(ids)}}},
        {"$project": {"length": 1, "chunkSize": 1}},
    ]
    return [row async for row in database.rows(collection, wanted)]


_FIRST_CHUNK: Doc = {
    "$lookup": {
        "from": "documents.chunks",
        "localField": "_id",
        "foreignField": "files_id",
        "pipeline": [{"$limit": 1}, {"$project": {"_id": 0, "n": 1}}],
        "as": "chunks",
    }
}
"""Without its bytes: the index has the answer."""


def _ago(grace: timedelta) -> Doc:
    return {"$subtract": ["$$NOW", int(grace / timedelta(milliseconds=1))]}
