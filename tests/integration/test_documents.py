"""Documents in GridFS: whole or not at all."""

import hashlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from math import ceil
from pathlib import Path

import anyio
import pytest

from pipeline.client import Client
from pipeline.errors import NotFound
from pipeline.model import DocumentReference
from pipeline.store import Store
from pipeline.store.documents import CHUNK_BYTES, INLINE_BYTES, StoredFile
from pipeline.store.outputs import LARGE_BODY
from pipeline.store.tasks import document_reference
from tests.records import claimed, committing, completion, violations
from tests.support import pieces, submit

NOW = timedelta(seconds=-1)
"""An age that every upload has."""


def reference(stored: StoredFile) -> DocumentReference:
    return DocumentReference(
        "scan.pdf", "application/pdf", stored.size, stored.sha256, file_id=stored.file_id
    )


async def left(store: Store) -> dict[str, int]:
    names = ("documents.files", "documents.chunks", "uploads")
    return {name: await store.db[name].count_documents({}) for name in names}


NOTHING = {"documents.files": 0, "documents.chunks": 0, "uploads": 0}


async def read(store: Store, document: DocumentReference) -> bytes:
    return b"".join([piece async for piece in store.documents.content(document)])


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 17])
async def test_bytes_come_back_as_they_went(store: Store, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, size, 700_001):
            yield content[start : start + 700_001]

    stored = await store.documents.store("default", "scan.pdf", parts())
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert await read(store, reference(stored)) == content
    await store.documents.save(reference(stored), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


async def test_an_upload_that_raises_leaves_nothing(store: Store) -> None:
    async def broken() -> AsyncIterator[bytes]:
        while (await left(store))["documents.chunks"] == 0:
            yield b"x" * CHUNK_BYTES
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        await store.documents.store("default", "scan.pdf", broken())
    assert await left(store) == NOTHING


async def test_a_cancelled_upload_leaves_nothing(store: Store) -> None:
    async with anyio.create_task_group() as group:

        async def endless() -> AsyncIterator[bytes]:
            while (await left(store))["documents.chunks"] == 0:
                yield b"x" * CHUNK_BYTES
            group.cancel_scope.cancel()
            await anyio.sleep_forever()

        group.start_soon(store.documents.store, "default", "scan.pdf", endless())
    assert await left(store) == NOTHING


async def test_an_upload_cancelled_while_it_writes_leaves_nothing(store: Store) -> None:
    async with anyio.create_task_group() as group:

        async def cancelled() -> AsyncIterator[bytes]:
            yield b"x" * (CHUNK_BYTES + 1)
            group.cancel_scope.cancel()
            yield b"y" * (4 * CHUNK_BYTES)

        group.start_soon(store.documents.store, "default", "scan.pdf", cancelled())
    assert await left(store) == NOTHING


async def test_an_upload_cancelled_before_its_first_byte_leaves_nothing(store: Store) -> None:
    async with anyio.create_task_group() as group:

        async def nothing() -> AsyncIterator[bytes]:
            group.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
            yield b""

        group.start_soon(store.documents.store, "default", "scan.pdf", nothing())
    assert await left(store) == NOTHING


async def test_the_sweep_removes_what_was_abandoned(store: Store) -> None:
    """Both a whole file without its job, and the chunks of a process that was killed while uploading."""
    await store.documents.store("default", "scan.pdf", pieces(b"x" * CHUNK_BYTES))
    killed = await store.documents.store("default", "scan.pdf", pieces(b"x" * (2 * CHUNK_BYTES)))
    await store.db["documents.files"].delete_one({"_id": killed.file_id})
    assert await store.documents.sweep(timedelta(hours=1)) == 0
    assert await store.documents.sweep(NOW) == 2
    assert await left(store) == NOTHING


async def test_the_sweep_keeps_what_is_used_and_forgets_its_intent(store: Store) -> None:
    client = Client(store)
    job = await submit(client, "counting")
    stored = await store.db["jobs"].find_one({"_id": job.id}) or {}
    # As after a crash between the job's insert and the settling of its upload.
    await store.db["uploads"].insert_one(
        {"_id": stored["document"]["file_id"], "tenant": "default", "started_at": stored["created_at"]}
    )
    assert await store.documents.sweep(NOW) == 0
    assert await left(store) == {"documents.files": 1, "documents.chunks": 1, "uploads": 0}
    assert await violations(store) == {}


async def test_a_large_output_lies_in_gridfs_and_is_kept_by_the_sweep(store: Store) -> None:
    [task] = await claimed(store)
    body = {"text": "x" * (LARGE_BODY + 1)}
    async with committing(store) as commits:
        assert await commits.commit([await completion(store, task, body)]) == [None]
    assert "body" not in (await store.db["outputs"].find_one({"_id": task.id}) or {})
    assert await store.documents.sweep(NOW) == 0
    assert (await left(store))["uploads"] == 0
    assert await store.outputs.body(task.job, "read", 1) == body
    assert await violations(store) == {}


async def test_a_large_output_that_was_never_committed_is_swept(store: Store) -> None:
    [task] = await claimed(store)
    await completion(store, task, {"text": "x" * (LARGE_BODY + 1)})
    assert await store.documents.sweep(NOW) == 1
    assert await left(store) == NOTHING


async def test_changed_bytes_are_noticed(store: Store, tmp_path: Path) -> None:
    stored = await store.documents.store("default", "scan.pdf", pieces(b"as submitted"))
    await store.db["documents.chunks"].update_one({}, {"$set": {"data": b"as modified!"}})
    with pytest.raises(NotFound, match="SHA-256"):
        await store.documents.save(reference(stored), tmp_path / "copy")


async def test_missing_bytes_are_noticed(store: Store, tmp_path: Path) -> None:
    stored = await store.documents.store("default", "scan.pdf", pieces(b"x" * (2 * CHUNK_BYTES)))
    await store.db["documents.chunks"].delete_one({"n": 1})
    with pytest.raises(NotFound, match="missing"):
        await store.documents.save(reference(stored), tmp_path / "copy")
    await store.documents.discard(stored.file_id)
    with pytest.raises(NotFound, match="not in the database any more"):
        await store.documents.save(reference(stored), tmp_path / "copy")


async def test_a_job_that_is_refused_takes_its_document_along(store: Store) -> None:
    client = Client(store)
    stored = await client.upload(pieces(b"x"), "a.txt")
    with pytest.raises(Exception, match="priority"):
        await client.submit(stored, "a.txt", "counting", priority=99)
    assert await left(store) == NOTHING


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 2 * CHUNK_BYTES + 17])
async def test_few_bytes_travel_inside_their_job_and_more_go_to_gridfs(store: Store, size: int) -> None:
    content, client = random.Random(size).randbytes(size), Client(store)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, size, 40_001):
            yield content[start : start + 40_001]

    received = await client.receive(parts(), "scan.pdf")
    assert received.size == size
    job, _ = await client.submit(received, "scan.pdf", "counting")
    small = size <= INLINE_BYTES
    whole = {"documents.files": 1, "documents.chunks": ceil(size / CHUNK_BYTES), "uploads": 0}
    assert await left(store) == (NOTHING if small else whole)
    stored = await store.db["jobs"].find_one({"_id": job.id}) or {}
    document = document_reference(stored["document"])
    assert await read(store, document) == content
    assert (document.size, document.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert await violations(store) == {}


async def test_the_same_key_again_keeps_one_document(store: Store) -> None:
    client = Client(store)
    first = await submit(client, "counting", idempotency_key="k")
    second = await submit(client, "counting", idempotency_key="k")
    assert first.id == second.id
    assert await left(store) == {"documents.files": 1, "documents.chunks": 1, "uploads": 0}
