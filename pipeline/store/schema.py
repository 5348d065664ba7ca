"""Collections: their validators and indexes, and the idempotent `install`.

A job may be inserted by any driver in any language, so the database itself refuses a malformed one.
Numbers may be ints, longs or doubles: drivers differ.
"""

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from pipeline.model import JOB_ID_PATTERN, PRIORITY_RANGE, TENANT_PATTERN
from pipeline.store.driver import Doc, translated

RELEASE = 3
"""Of the validators: raise it when one changes. An earlier release that starts later leaves them alone."""

INLINE_LIMIT = 256 * 1024
"""Bytes of the largest document that a job may carry itself."""

_NAMESPACE_EXISTS = 48
_INDEX_NOT_FOUND = 27


def _whole(pattern: str) -> str:
    """Anchor a pattern at both ends of the text: a dollar sign would let a final newline pass."""
    return rf"^(?:{pattern})\z"


_NUMBER = ["int", "long", "double"]
_NAME = {"bsonType": "string", "pattern": _whole("[a-z][a-z0-9-]{0,39}")}
_PRIORITY = {"bsonType": _NUMBER, "minimum": PRIORITY_RANGE[0], "maximum": PRIORITY_RANGE[1]}
_TEXT = {"bsonType": "string", "maxLength": 512}
_OPTIONAL_DATE = {"bsonType": ["date", "null"]}

_DOCUMENT = {
    "bsonType": "object",
    "required": ["name", "type", "size", "sha256"],
    "oneOf": [{"required": ["file_id"]}, {"required": ["inline"]}],
    "additionalProperties": False,
    "properties": {
        "name": {"bsonType": "string", "minLength": 1, "maxLength": 255},
        "type": {"bsonType": "string", "maxLength": 255},
        "size": {"bsonType": _NUMBER, "minimum": 0},
        "sha256": {"bsonType": "string", "pattern": _whole("[0-9a-f]{64}")},
        "file_id": {"bsonType": "objectId"},
        "inline": {"bsonType": "binData"},
    },
}

_TITLE = "Millrace, validators of release "

_JOB = {
    "title": f"{_TITLE}{RELEASE}",
    "bsonType": "object",
    "required": ["_id", "tenant", "pipeline", "document", "state", "created_at"],
    "additionalProperties": False,
    "properties": {
        "_id": {"bsonType": "string", "pattern": _whole(JOB_ID_PATTERN)},
        "tenant": {"bsonType": "string", "pattern": _whole(TENANT_PATTERN)},
        "pipeline": _NAME,
        "pipeline_version": {"bsonType": [*_NUMBER, "null"], "minimum": 1},
        "document": _DOCUMENT,
        "stages": {"bsonType": "array", "items": _NAME},
        "skip": {"bsonType": "array", "items": _NAME, "maxItems": 100},
        "params": {"bsonType": "object"},
        "metadata": {"bsonType": "object"},
        "priority": _PRIORITY,
        "run_at": _OPTIONAL_DATE,
        "idempotency_key": {"bsonType": "string", "minLength": 1, "maxLength": 255},
        "idempotency_hash": {"bsonType": "string"},
        "idempotency_until": {"bsonType": "date"},
        "batch": {"bsonType": "string", "pattern": _whole(JOB_ID_PATTERN)},
        "traceparent": {"bsonType": ["string", "null"]},
        "state": {"enum": ["submitted", "running", "succeeded", "failed", "cancelled"]},
        "revision": {"bsonType": _NUMBER, "minimum": 1},
        "deadline": _OPTIONAL_DATE,
        "admit_by": {"bsonType": "date"},
        "time_limit": {"bsonType": _NUMBER, "minimum": 1},
        "error": {"bsonType": ["object", "null"]},
        "created_at": {"bsonType": "date"},
        "started_at": _OPTIONAL_DATE,
        "finished_at": _OPTIONAL_DATE,
        "discarded_at": {"bsonType": "date"},
        "commit": _TEXT,
    },
}

_OF_ITS_TENANT = {"$eq": [{"$indexOfBytes": ["$_id", {"$concat": ["$tenant", "."]}]}, 0]}

_JOB_RULES = {
    "$and": [
        _OF_ITS_TENANT,
        {"$eq": [{"$indexOfBytes": [{"$ifNull": ["$batch", "$_id"]}, {"$concat": ["$tenant", "."]}]}, 0]},
        {"$lte": [{"$binarySize": {"$ifNull": ["$document.inline", ""]}}, INLINE_LIMIT]},
        {
            "$or": [
                {"$eq": [{"$type": "$document.inline"}, "missing"]},
                {"$eq": [{"$binarySize": {"$ifNull": ["$document.inline", ""]}}, "$document.size"]},
            ]
        },
    ]
}

_OF_THE_ENGINE = {
    "state": {"$in": ["running", "succeeded", "failed", "cancelled"]},
    "commit": {"$type": "string"},
}
"""A job that the engine has written to: it was looked at when it was submitted, which costs the server as
much as three index entries, and need not be at each change of its state."""

_TASK = {
    "title": f"{_TITLE}{RELEASE}",
    "bsonType": "object",
    "required": ["_id", "job", "tenant", "stage", "queue", "revision", "state", "run_at", "attempt", "lease"],
    "properties": {
        "state": {"enum": ["ready", "running", "succeeded", "failed", "cancelled"]},
        "run_at": {"bsonType": "date"},
        "attempt": {"bsonType": _NUMBER, "minimum": 0},
        "max_attempts": {"bsonType": _NUMBER, "minimum": 1},
        "lease": {"bsonType": "object", "required": ["claim_id", "fence", "worker", "until"]},
        "errors": {"bsonType": "array", "maxItems": 20},
    },
}

_OUTPUT = {
    "title": f"{_TITLE}{RELEASE}",
    "bsonType": "object",
    "required": ["_id", "job", "tenant", "stage", "revision", "claim_id", "input_sha256", "sha256"],
    "oneOf": [{"required": ["body"]}, {"required": ["file_id"]}],
}

_BATCH = {
    "title": f"{_TITLE}{RELEASE}",
    "bsonType": "object",
    "required": ["_id", "tenant", "state", "created_at"],
    "additionalProperties": False,
    "properties": {
        "_id": {"bsonType": "string", "pattern": _whole(JOB_ID_PATTERN)},
        "tenant": {"bsonType": "string", "pattern": _whole(TENANT_PATTERN)},
        "name": _TEXT,
        "metadata": {"bsonType": "object"},
        "total": {"bsonType": [*_NUMBER, "null"], "minimum": 0},
        "state": {"enum": ["running", "succeeded", "failed", "cancelled"]},
        "cancelled": {"bsonType": "bool"},
        "counts": {"bsonType": "object"},
        "reprocess": {"bsonType": "object"},
        "created_at": {"bsonType": "date"},
        "finished_at": _OPTIONAL_DATE,
    },
}

_SCHEDULE = {
    "bsonType": "object",
    "required": ["_id", "tenant", "name", "cron", "time_zone", "missed", "paused", "created_at"],
    "oneOf": [{"required": ["job"]}, {"required": ["task"]}],
    "additionalProperties": False,
    "properties": {
        "_id": {"bsonType": "string"},
        "tenant": {"bsonType": "string", "pattern": _whole(TENANT_PATTERN)},
        "name": _NAME,
        "cron": _TEXT,
        "time_zone": _TEXT,
        "missed": {"enum": ["latest", "all", "skip"]},
        "paused": {"bsonType": "bool"},
        "job": {
            "bsonType": "object",
            "required": ["pipeline", "document"],
            "additionalProperties": False,
            "properties": {
                "pipeline": _NAME,
                "document": _DOCUMENT,
                "params": {"bsonType": "object"},
                "metadata": {"bsonType": "object"},
                "priority": _PRIORITY,
            },
        },
        "task": _NAME,
        "next_at": _OPTIONAL_DATE,
        "fired": {"bsonType": _NUMBER},
        "last": {"bsonType": ["object", "null"]},
        "running": {"bsonType": ["object", "null"]},
        "error": {"bsonType": ["string", "null"]},
        "created_at": {"bsonType": "date"},
        "commit": _TEXT,
    },
}

_SCHEDULE_RULES = {"$eq": ["$_id", {"$concat": ["$tenant", ".", "$name"]}]}

VALIDATORS: dict[str, Doc] = {
    "jobs": {"$or": [_OF_THE_ENGINE, {"$jsonSchema": _JOB, "$expr": _JOB_RULES}]},
    "tasks": {"$jsonSchema": _TASK},
    "outputs": {"$jsonSchema": _OUTPUT},
    "checkpoints": {},
    "schedules": {"$jsonSchema": _SCHEDULE, "$expr": _SCHEDULE_RULES},
    "tenants": {},
    "batches": {"$jsonSchema": _BATCH, "$expr": _OF_ITS_TENANT},
    "uploads": {},
    "documents.files": {},
    "documents.chunks": {},
    "listeners": {},
    "gaps": {},
    "workers": {},
    "controls": {},
    "limits": {},
    "permits": {},
    "refills": {},
    "pipelines": {},
    "keys": {},
    "memories": {},
}

INDEXES: dict[str, list[IndexModel]] = {
    "jobs": [
        IndexModel(
            [("tenant", ASCENDING), ("idempotency_key", ASCENDING)],
            name="idempotency",
            unique=True,
            partialFilterExpression={"idempotency_key": {"$exists": True}},
        ),
        IndexModel([("tenant", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)], name="state"),
        IndexModel(
            [
                ("pipeline", ASCENDING),
                ("pipeline_version", ASCENDING),
                ("priority", DESCENDING),
                ("created_at", ASCENDING),
            ],
            name="backlog",
            partialFilterExpression={"state": "submitted"},
        ),
        IndexModel(
            [("document.file_id", ASCENDING)],
            name="file",
            partialFilterExpression={"document.file_id": {"$exists": True}},
        ),
    ],
    "tasks": [
        IndexModel(
            [("queue", ASCENDING), ("priority", DESCENDING), ("run_at", ASCENDING)],
            name="claim",
            partialFilterExpression={"state": "ready"},
        ),
        # Lease ends of running tasks, due times of delayed ones: what a timer is armed for.
        IndexModel(
            [("state", ASCENDING), ("lease.until", ASCENDING), ("lease.worker", ASCENDING)],
            name="alarm",
            partialFilterExpression={"lease.until": {"$type": "date"}},
        ),
    ],
    "batches": [
        IndexModel(
            [("_id", ASCENDING), ("total", ASCENDING)],
            name="closed",
            partialFilterExpression={"state": "running", "total": {"$type": "number"}},
        ),
    ],
    "schedules": [
        IndexModel([("next_at", ASCENDING)], name="due"),
        IndexModel([("job.document.file_id", ASCENDING)], name="file"),
    ],
    "checkpoints": [IndexModel([("task", ASCENDING)], name="task")],
    "outputs": [
        IndexModel(
            [("file_id", ASCENDING)],
            name="file",
            partialFilterExpression={"file_id": {"$exists": True}},
        ),
    ],
    "memories": [
        IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
        IndexModel([("job", ASCENDING)], name="job"),
    ],
    "uploads": [IndexModel([("started_at", ASCENDING)], name="age")],
    # As the GridFS specification asks.
    "documents.files": [IndexModel([("filename", ASCENDING), ("uploadDate", ASCENDING)])],
    "documents.chunks": [IndexModel([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)],
}

RETIRED: dict[str, tuple[str, ...]] = {
    "jobs": ("newest", "submitted"),
    "tasks": ("due", "rescue", "job"),
    "outputs": ("job",),
}
"""Indexes of earlier releases. Each that is left costs every update of an indexed field."""


@translated
async def install(db: AsyncDatabase[Doc]) -> list[str]:
    """Create what is missing and bring validators up to date; returns what it changed, in words.

    What a later release has installed stays: both may run side by side.
    Safe to run again at any time, also by many processes at once.
    """
    done: list[str] = []
    existing = {each["name"]: each async for each in await db.list_collections()}
    for name, validator in VALIDATORS.items():
        if name not in existing:
            if await _create(db, name, validator):
                done.append(f"created {name}")
        elif _is_outdated(existing[name].get("options", {}).get("validator", {}), validator):
            await db.command("collMod", name, validator=validator)
            done.append(f"changed the validator of {name}")
        done += await _index(db, name)
    return done


def _is_outdated(present: Doc, validator: Doc) -> bool:
    """Tell whether a validator is to be replaced: another one, and not of a later release."""
    branches = [present, *present.get("$or", ())]
    schema: Doc = next((each["$jsonSchema"] for each in branches if "$jsonSchema" in each), {})
    title = schema.get("title", "").removeprefix(_TITLE)
    return present != validator and not (title.isdigit() and int(title) > RELEASE)


async def _create(db: AsyncDatabase[Doc], name: str, validator: Doc) -> bool:
    """Create a collection; False when another process was faster, with the same validator."""
    try:
        await db.create_collection(name, validator=validator, check_exists=False)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        return False
    return True


async def _index(db: AsyncDatabase[Doc], name: str) -> list[str]:
    wanted = INDEXES.get(name, [])
    if not wanted:
        return []
    present = await db[name].index_information()
    missing = [model for model in wanted if model.document["name"] not in present]
    if missing:
        await db[name].create_indexes(missing)
    retired = [each for each in RETIRED.get(name, ()) if each in present]
    for each in retired:
        await _drop_index(db, name, each)
    created = [f"created index {name}.{model.document['name']}" for model in missing]
    return created + [f"dropped index {name}.{each}" for each in retired]


async def _drop_index(db: AsyncDatabase[Doc], collection: str, index: str) -> None:
    try:
        await db[collection].drop_index(index)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:  # another process was faster
            raise
