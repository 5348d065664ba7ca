"""Make the job document that any driver may insert: the insert is the submission.

For applications that submit with a client of their own (PyMongo, Motor, any language), also inside
their own transaction beside their business data::

    job = job_document("documents", name="scan.pdf", content=data)
    await motor_client.millrace.jobs.insert_one(job)
"""

import hashlib
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline import telemetry
from pipeline.errors import SubmissionError
from pipeline.model import DEFAULT_TENANT, new_job_id
from pipeline.store.jobs import IDEMPOTENCY, idempotency_hash
from pipeline.store.schema import INLINE_LIMIT

MAX_NAME = 255
_FORBIDDEN = dict.fromkeys((*range(32), 127, *range(8234, 8239), *range(8294, 8298), 8206, 8207))
"""Control characters, and those that turn the direction of text."""


def job_document(
    pipeline: str,
    *,
    name: str,
    content: bytes | None = None,
    file_id: Any = None,
    size: int | None = None,
    sha256: str | None = None,
    media_type: str | None = None,
    tenant: str = DEFAULT_TENANT,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    skip: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
    deadline: datetime | None = None,
    idempotency_key: str | None = None,
    idempotency_for: timedelta = IDEMPOTENCY,
    batch: str | None = None,
) -> dict[str, Any]:
    """Return a job, ready to be inserted into `jobs`; its `_id` is the job's id.

    Give the document's bytes as `content` (at most 256 KiB, they travel inside the job), or store them
    in the GridFS bucket `documents` first and give `file_id`, `size` and `sha256`.

    Args:
        pipeline: Name of a pipeline that some worker hosts.
        name: The document's name, for people; control characters are taken out.
        content: The bytes, when they are few.
        file_id: ObjectId in GridFS, when they are many.
        size: Bytes in GridFS.
        sha256: Hexadecimal hash of the bytes in GridFS.
        media_type: Guessed from the name when not given.
        tenant: Lower-case letters, digits and dashes.
        params: By stage: `{"ocr": {"dpi": 300}}`.
        skip: Names of stages to leave out; the types of the others must chain, or the job fails.
        metadata: Anything of your own.
        priority: -10 to 10; higher ones first.
        run_at: Not before then. With a time zone.
        deadline: A job that has not ended by then fails. With a time zone.
        idempotency_key: A second insert with the same key, by the same tenant, is refused.
        idempotency_for: For how long; then `Client.submit` and REST take the key for a new job. An insert of
            your own is refused until one of them has, or the earlier job is removed.
        batch: Id of a batch that it belongs to, see `batch_document`.

    Raises:
        SubmissionError: content and file_id both or neither given, content too large, or a time without
            its zone.
    """
    for field, time in (("run_at", run_at), ("deadline", deadline)):
        if time is not None and time.tzinfo is None:
            raise SubmissionError(f"`{field}` needs a time zone")
    document = {
        "name": clean_name(name),
        "type": media_type or mimetypes.guess_type(name)[0] or "application/octet-stream",
        **(_stored(file_id, size, sha256) if content is None else _inline(content, file_id)),
    }
    job: dict[str, Any] = {
        "_id": new_job_id(tenant),
        "tenant": tenant,
        "pipeline": pipeline,
        "document": document,
        "params": {stage: dict(values) for stage, values in (params or {}).items()},
        "metadata": dict(metadata or {}),
        "priority": priority,
        "run_at": run_at,
        "state": "submitted",
        "created_at": datetime.now(UTC),
        "traceparent": telemetry.current_traceparent(),
    }
    if skip := sorted(set(skip)):
        job["skip"] = skip
    if deadline is not None:
        job["deadline"] = deadline
    if batch is not None:
        job["batch"] = batch
    if idempotency_key is not None:
        job["idempotency_key"] = idempotency_key
        job["idempotency_hash"] = idempotency_hash(job)
        job["idempotency_until"] = job["created_at"] + idempotency_for
    return job


def batch_document(
    *,
    tenant: str = DEFAULT_TENANT,
    total: int | None = None,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a batch, ready to be inserted into `batches`; its `_id` is the batch's id.

    Insert it before its jobs, or with them in one transaction. It ends once `total` jobs have; without a
    total, set that when it is known: workers find it by their next reconciliation.
    """
    batch: dict[str, Any] = {
        "_id": new_job_id(tenant),
        "tenant": tenant,
        "total": total,
        "metadata": dict(metadata or {}),
        "state": "running",
        "created_at": datetime.now(UTC),
    }
    return batch if name is None else {**batch, "name": name}


def _inline(content: bytes, file_id: Any) -> dict[str, Any]:
    if file_id is not None:
        raise SubmissionError("give the document's bytes as `content`, or its `file_id` in GridFS; not both")
    if len(content) > INLINE_LIMIT:
        raise SubmissionError(
            f"{len(content)} bytes are too many to travel inside a job ({INLINE_LIMIT} at most): "
            "store them in the GridFS bucket `documents` and give file_id, size and sha256"
        )
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "inline": content}


def _stored(file_id: Any, size: int | None, sha256: str | None) -> dict[str, Any]:
    if file_id is None:
        raise SubmissionError("give the document's bytes as `content`, or its `file_id` in GridFS")
    if size is None or sha256 is None:
        raise SubmissionError("a document in GridFS needs `size` and `sha256` too")
    return {"size": size, "sha256": sha256, "file_id": file_id}


def job_changes(job: str) -> Sequence[Mapping[str, Any]]:
    """Return the pipeline of a change stream on one job's state and progress, for `database.watch`.

    It carries a job's and its tasks' changes; `documentKey._id` says whose, and a task's id ends in
    `:{stage}:{revision}`.
    """
    prefix = f"{job}:"
    own = {"$eq": [{"$substrCP": ["$documentKey._id", 0, len(prefix)]}, prefix]}
    return [
        {
            "$match": {
                "operationType": {"$in": ["insert", "update", "replace"]},
                "ns.coll": {"$in": ["jobs", "tasks"]},
                "$or": [{"documentKey._id": job}, {"$expr": own}],
            }
        },
        {
            "$project": {
                "operationType": 1,
                "documentKey": 1,
                "ns": 1,
                "updateDescription.updatedFields": 1,
                "fullDocument.state": 1,
                "fullDocument.progress": 1,
            }
        },
    ]


def clean_name(name: str) -> str:
    """Return a document's name without path, control and direction characters, at most 255 long."""
    text = name.encode(errors="replace").decode()  # lone surrogates are no text
    base = text.replace("\\", "/").rsplit("/", 1)[-1].translate(_FORBIDDEN).strip()
    return base[:MAX_NAME].rstrip() or "unnamed"
