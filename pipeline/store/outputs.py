"""Outputs and checkpoints, read and prepared for writing. They are written by the commits alone."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import bson
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.errors import NotFound
from pipeline.model import DocumentReference, StageOutput, Task, task_id
from pipeline.recipe import Recipe
from pipeline.store.documents import Documents
from pipeline.store.driver import Doc, reading, translated

LARGE_BODY = 8 * 1024 * 1024
"""Bytes, as JSON or as BSON, from which a body goes to GridFS; MongoDB takes 16 MiB in a document."""

_GROWTH = 8
"""Times that BSON may be longer than JSON: an array's element has a type, its index as text, a length."""


_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical(body: Mapping[str, Any]) -> bytes:
    """Return the one JSON encoding of a body, of which the hash is taken."""
    return _ENCODER.encode(body).encode()


class Outputs:
    """What stages wrote."""

    def __init__(self, db: AsyncDatabase[Doc], documents: Documents) -> None:
        self._client = db.client
        self._outputs = db["outputs"]
        self._checkpoints = db["checkpoints"]
        self._documents = documents

    async def prepare(self, task: Task, body: Mapping[str, Any], recipe: Recipe) -> StageOutput:
        """Hash a body, and put it in GridFS when it is large.

        Raises:
            UnicodeEncodeError: it holds text that isn't valid Unicode.
            OverflowError: it is large, and holds an integer beyond 64 bits.
        """
        encoded = canonical(body)
        file_id = None
        if _is_large(encoded, body):
            file_id = (await self._documents.store(task.tenant, task.id, _once(encoded))).file_id
        return StageOutput(
            body=body,
            sha256=hashlib.sha256(encoded).hexdigest(),
            size=len(encoded),
            input_sha256=task.input.sha256,
            recipe=recipe,
            file_id=file_id,
        )

    @translated
    async def body(self, job: str, stage: str, revision: int, *, as_of: Any = None) -> Doc:
        """Return the body of one output, as of an operation time at least.

        Raises:
            NotFound: the stage has not written it (yet).
        """
        async with reading(self._client, as_of) as session:
            fields = {"body": 1, "file_id": 1}
            found = await self._outputs.find_one(
                {"_id": task_id(job, stage, revision)}, fields, session=session
            )
        if found is None:
            raise NotFound(f"job {job} has no output of stage {stage!r} (yet)")
        return await self._loaded(found, as_of)

    @translated
    async def previous(self, task: Task, stage_version: int) -> Doc | None:
        """Return the body of the newest output that this stage wrote of the same input before; None if none.

        Earlier revisions only, and of this version of the stage.
        """
        ids = [task_id(task.job, task.stage, revision) for revision in range(1, task.revision)]
        same = {"_id": {"$in": ids}, "stage_version": stage_version, "input_sha256": task.input.sha256}
        async with reading(self._client, task.as_of) as session:
            found = await self._outputs.find(same, {"body": 1, "file_id": 1}, session=session).to_list()
        newest = max(found, key=lambda each: ids.index(each["_id"]), default=None)
        return None if newest is None else await self._loaded(newest, task.as_of)

    async def _loaded(self, found: Doc, as_of: Any) -> Doc:
        if "body" in found:
            body: Doc = found["body"]
            return body
        reference = DocumentReference("output", "application/json", 0, "", file_id=found["file_id"])
        pieces = [piece async for piece in self._documents.content(reference, as_of=as_of)]
        loaded: Doc = json.loads(b"".join(pieces))
        return loaded

    @translated
    async def checkpoints(self, task: str, *, as_of: Any = None) -> dict[str, Any]:
        """Return the parts that this task's attempts saved, by key, as of an operation time at least."""
        async with reading(self._client, as_of) as session:
            found = self._checkpoints.find({"task": task}, session=session)
            return {each["key"]: each["value"] async for each in found}


def _is_large(encoded: bytes, body: Mapping[str, Any]) -> bool:
    if len(encoded) <= LARGE_BODY // _GROWTH:
        return False
    return len(encoded) > LARGE_BODY or len(bson.encode(body)) > LARGE_BODY


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
