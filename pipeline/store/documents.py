"""Bytes in GridFS: submitted documents, and outputs too large for a MongoDB document.

GridFS cannot join a transaction, leaves chunks behind when an upload fails and keeps no hash. So an
intent is written first, then the chunks, then the file; length and SHA-256 are checked; the job that
refers to it is inserted last and the intent removed. What was left behind by a crash is found by its
intent and swept. Few bytes need none of that: they are in the one insert of their job.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from bson import Int64, ObjectId
from gridfs.asynchronous import AsyncGridFSBucket
from gridfs.errors import CorruptGridFile, NoFile
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from pipeline.crashpoints import crash_point
from pipeline.errors import NotFound
from pipeline.model import DocumentReference
from pipeline.store.driver import Doc, reading, translate, translated

CHUNK_BYTES = 1024 * 1024
"""GridFS chunk size: fewer round trips than its default of 255 KiB, well below 16 MiB.

Chunks are written one by one, in the format of the GridFS specification: the driver's own upload
stream gathers up to 48 MB before it writes, for every upload at once.
"""

INLINE_BYTES = 64 * 1024
"""Bytes of the largest upload that is kept in memory, and travels inside its job.

A quarter of what a job may carry: jobs are read by everybody who works on them.
"""

UPLOAD_GRACE = timedelta(hours=1)
"""Age from which bytes without a job are taken for abandoned."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes that lie in GridFS."""

    file_id: ObjectId
    size: int
    sha256: str

    @property
    def fields(self) -> Mapping[str, Any]:
        """What `job_document` is told of it."""
        return {"file_id": self.file_id, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class InlineFile:
    """Bytes that are few, and are stored with the job that they travel in."""

    content: bytes

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.content)

    @property
    def fields(self) -> Mapping[str, Any]:
        """What `job_document` is told of it."""
        return {"content": self.content}


class Documents:
    """The GridFS bucket `documents`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._client = db.client
        self._uploads = db["uploads"]
        self._jobs = db["jobs"]
        self._outputs = db["outputs"]
        self._schedules = db["schedules"]
        self._files = db["documents.files"]
        self._chunks = db["documents.chunks"]
        self._bucket = AsyncGridFSBucket(db, "documents")

    async def receive(self, tenant: str, name: str, content: AsyncIterator[bytes]) -> StoredFile | InlineFile:
        """Store a stream of bytes as `store` does; but keep few of them in memory, for their job's insert."""
        head = bytearray()
        async for piece in content:
            head += piece
            if len(head) > INLINE_BYTES:
                return await self.store(tenant, name, _after(head, content))
        return InlineFile(bytes(head))

    @translated
    async def store(self, tenant: str, name: str, content: AsyncIterator[bytes]) -> StoredFile:
        """Store a stream of bytes, in bounded memory; the intent stays until `settle`.

        When the stream raises, or this call is cancelled, the chunks are removed again; when the
        database fails, the intent tells the sweeper.
        """
        file_id = ObjectId()
        await self._uploads.update_one(
            {"_id": file_id}, [{"$set": {"tenant": tenant, "started_at": "$$NOW"}}], upsert=True
        )
        crash_point("upload.begun")
        digest, size, number = hashlib.sha256(), 0, 0
        try:
            async for block in _blocks(content):
                digest.update(block)
                size += len(block)
                # A write that was cancelled half-way could still arrive after its removal.
                with anyio.CancelScope(shield=True):
                    await self._chunks.insert_one({"files_id": file_id, "n": number, "data": block})
                crash_point("upload.chunks")
                number += 1
            await anyio.lowlevel.checkpoint_if_cancelled()
            with anyio.CancelScope(shield=True):
                await self._files.insert_one(_file(file_id, name, size, tenant))
        except PyMongoError:
            raise  # what the write did isn't known
        except BaseException:
            with anyio.move_on_after(5, shield=True):
                await self._chunks.delete_many({"files_id": file_id})
                await self.settle(file_id)
            raise
        crash_point("upload.stored")
        return StoredFile(file_id, size, digest.hexdigest())

    @translated
    async def settle(self, file_id: ObjectId) -> None:
        """Forget the intent: the job (or output) that refers to the file is durable, or the file is gone."""
        await self._uploads.delete_one({"_id": file_id})

    @translated
    async def discard(self, file_id: ObjectId) -> None:
        """Remove a file that no job came to refer to."""
        # NoFile: an upload that never got as far as its file; its chunks are gone with this call.
        with suppress(NoFile):
            await self._bucket.delete(file_id)
        await self.settle(file_id)

    async def content(self, document: DocumentReference, *, as_of: Any = None) -> AsyncIterator[bytes]:
        """Yield a document's bytes in pieces, as of an operation time at least.

        Raises:
            NotFound: the file is gone, or some of its bytes are.
            StoreUnavailable: the database can't be reached.
        """
        if document.inline is not None:
            yield document.inline
            return
        try:
            async with reading(self._client, as_of) as session:
                stream = await self._bucket.open_download_stream(document.file_id, session=session)
                while piece := await stream.readchunk():
                    yield piece
        except NoFile as error:
            raise NotFound(f"the document {document.name!r} is not in the database any more") from error
        except CorruptGridFile as error:
            raise NotFound(f"bytes of {document.name!r} are missing in the database") from error
        except PyMongoError as error:
            raise translate(error) from error

    async def save(self, document: DocumentReference, path: Path, *, as_of: Any = None) -> None:
        """Write a document to a local file, as of an operation time at least.

        Raises:
            NotFound: the file is gone, or its bytes are not those that were submitted.
            StoreUnavailable: the database can't be reached.
        """
        digest = hashlib.sha256()
        async with await anyio.open_file(path, "wb") as file:
            async for piece in self.content(document, as_of=as_of):
                digest.update(piece)
                await file.write(piece)
        if digest.hexdigest() != document.sha256:
            raise NotFound(f"the bytes of {document.name!r} do not have the SHA-256 that was submitted")

    @translated
    async def sweep(self, older_than: timedelta) -> int:
        """Remove files whose upload was begun that long ago and that nothing refers to; returns how many."""
        age = {
            "$expr": {
                "$lt": ["$started_at", {"$subtract": ["$$NOW", int(older_than.total_seconds() * 1000)]}]
            }
        }
        return sum([await self.discard_unused(intent["_id"]) async for intent in self._uploads.find(age)])

    @translated
    async def discard_unused(self, file_id: ObjectId) -> bool:
        """Remove a file, its chunks and its intent, if nothing refers to it; False when something does.

        Only for bytes so old that their job isn't about to be inserted.
        """
        if await self._is_used(file_id):
            await self.settle(file_id)
            return False
        await self.discard(file_id)
        return True

    async def _is_used(self, file_id: Any) -> bool:
        referring = [
            (self._jobs, "document.file_id"),
            (self._outputs, "file_id"),
            (self._schedules, "job.document.file_id"),
        ]
        found = [await collection.find_one({field: file_id}, {"_id": 1}) for collection, field in referring]
        return any(each is not None for each in found)


async def _after(head: bytes | bytearray, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield bytes(head)
    async for piece in rest:
        yield piece


async def _blocks(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream into chunks of the full size, but for the last."""
    gathered = bytearray()
    async for piece in content:
        gathered += piece
        while len(gathered) >= CHUNK_BYTES:
            with memoryview(gathered) as view:
                block = bytes(view[:CHUNK_BYTES])
            del gathered[:CHUNK_BYTES]
            yield block
    if gathered:
        yield bytes(gathered)


def _file(file_id: ObjectId, name: str, size: int, tenant: str) -> Doc:
    return {
        "_id": file_id,
        "length": Int64(size),
        "chunkSize": CHUNK_BYTES,
        "uploadDate": datetime.now(UTC),
        "filename": name,
        "metadata": {"tenant": tenant},
    }
