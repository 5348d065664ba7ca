"""Check the engine's promises over the whole database, in one snapshot."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store.driver import Client, Doc, translated

EXAMPLES = 5
Stages = Sequence[Mapping[str, Any]]


class Finding(BaseModel):
    """What was found of one promise."""

    promise: str
    title: str
    checked: int
    violations: int
    examples: list[str]
    """Ids, at most five."""


class Audit:
    """One pass over the database."""

    def __init__(self, client: Client, db: AsyncDatabase[Doc]) -> None:
        self._client = client
        self._db = db

    @translated
    async def run(self) -> list[Finding]:
        """Check everything; each promise is a finding, also when it holds."""
        checks: list[Callable[[AsyncClientSession], Awaitable[Finding]]] = [
            self._jobs_have_work,
            self._outputs_and_successes,
            self._successors,
            self._fences,
            self._inputs,
            self._attempts,
            self._bytes,
            self._gaps,
        ]
        async with self._client.start_session(snapshot=True) as session:
            return [await check(session) for check in checks]

    async def _jobs_have_work(self, session: AsyncClientSession) -> Finding:
        """A running job has exactly one open task, any other none; one that succeeded, all its stages."""
        open_states = ["ready", "running"]
        done = {
            "$setUnion": [
                {"$map": {"input": _having("$tasks", "state", ["succeeded"]), "in": "$$this.stage"}}
            ]
        }
        stages: Stages = [
            _join("tasks", "_id", "job", "tasks"),
            {
                "$project": {
                    "state": 1,
                    "open": {"$size": _having("$tasks", "state", open_states)},
                    "undone": {"$setDifference": [{"$ifNull": ["$stages", ["none"]]}, done]},
                }
            },
            {
                "$match": {
                    "$nor": [
                        {"state": "running", "open": 1},
                        {"state": {"$in": ["submitted", "failed", "cancelled"]}, "open": 0},
                        {"state": "succeeded", "open": 0, "undone": []},
                    ]
                }
            },
        ]
        return await self._finding("I1", "no accepted job is lost", "jobs", stages, session)

    async def _outputs_and_successes(self, session: AsyncClientSession) -> Finding:
        """A succeeded task has its output, and nothing else has one."""
        stages: Stages = [
            _join("outputs", "_id", "_id", "output"),
            {
                "$match": {
                    "$expr": {"$ne": [{"$eq": ["$state", "succeeded"]}, {"$eq": [{"$size": "$output"}, 1]}]}
                }
            },
        ]
        return await self._finding("I2", "one output for every succeeded task", "tasks", stages, session)

    async def _successors(self, session: AsyncClientSession) -> Finding:
        """A succeeded task that isn't its job's last has its successor, no other has one; all have a job."""
        stages: Stages = [
            _join("jobs", "job", "_id", "owner"),
            {"$set": {"names": {"$first": "$owner.stages"}}},
            {"$set": {"position": {"$indexOfArray": ["$names", "$stage"]}}},
            {"$set": {"next": {"$arrayElemAt": ["$names", {"$add": ["$position", 1]}]}}},
            {
                "$set": {
                    "next_id": {
                        "$concat": ["$job", ":", {"$ifNull": ["$next", ""]}, ":", {"$toString": "$revision"}]
                    }
                }
            },
            _join("tasks", "next_id", "_id", "successor"),
            {
                "$set": {
                    "due": {
                        "$and": [
                            {"$eq": ["$state", "succeeded"]},
                            {"$ne": [{"$ifNull": ["$next", None]}, None]},
                        ]
                    }
                }
            },
            {
                "$match": {
                    "$or": [
                        {"owner": []},
                        {"$expr": {"$ne": ["$due", {"$gt": [{"$size": "$successor"}, 0]}]}},
                    ]
                }
            },
        ]
        return await self._finding("I3", "one successor for every completed task", "tasks", stages, session)

    async def _fences(self, session: AsyncClientSession) -> Finding:
        """An output was written under the last lease that its task ever had."""
        stages: Stages = [
            _join("tasks", "_id", "_id", "task"),
            {"$match": {"$expr": {"$ne": ["$fence", {"$first": "$task.lease.fence"}]}}},
        ]
        return await self._finding(
            "I4", "no write by a holder after a later claim", "outputs", stages, session
        )

    async def _inputs(self, session: AsyncClientSession) -> Finding:
        """An output names the hash of the document or of the output that it was made from."""
        stages: Stages = [
            _join("jobs", "job", "_id", "owner"),
            {"$set": {"names": {"$first": "$owner.stages"}}},
            {"$set": {"position": {"$indexOfArray": ["$names", "$stage"]}}},
            {
                "$set": {
                    "before": {"$arrayElemAt": ["$names", {"$max": [0, {"$subtract": ["$position", 1]}]}]}
                }
            },
            {"$set": {"before_id": {"$concat": ["$job", ":", "$before", ":", {"$toString": "$revision"}]}}},
            _join("outputs", "before_id", "_id", "input"),
            {"$set": {"made_from": [{"$first": "$owner.document.sha256"}, {"$first": "$input.sha256"}]}},
            {"$match": {"$expr": {"$not": {"$in": ["$input_sha256", "$made_from"]}}}},
        ]
        return await self._finding("I5", "an output names what it was made from", "outputs", stages, session)

    async def _attempts(self, session: AsyncClientSession) -> Finding:
        stages: Stages = [{"$match": {"$expr": {"$gt": ["$attempt", "$max_attempts"]}}}]
        return await self._finding("I6", "attempts are bounded", "tasks", stages, session)

    async def _bytes(self, session: AsyncClientSession) -> Finding:
        """Files and chunks belong to a job, an output or an upload; what those refer to is there, whole."""
        uploading = _join("uploads", "_id", "_id", "upload")
        unowned: Stages = [
            _join("jobs", "_id", "document.file_id", "job"),
            _join("outputs", "_id", "file_id", "output"),
            uploading,
            {"$match": {"job": [], "output": [], "upload": []}},
        ]
        stray: Stages = [
            {"$group": {"_id": "$files_id"}},
            _join("documents.files", "_id", "_id", "file"),
            uploading,
            {"$match": {"file": [], "upload": []}},
        ]
        checks = (
            ("documents.files", unowned),
            ("documents.chunks", stray),
            ("jobs", _lost("document.file_id", "document.size")),
            ("outputs", _lost("file_id", "size")),
        )
        title = "no orphan bytes, none missing"
        found = [await self._finding("I7", title, *check, session) for check in checks]
        return Finding(
            promise="I7",
            title=title,
            checked=sum(each.checked for each in found),
            violations=sum(each.violations for each in found),
            examples=[example for each in found for example in each.examples][:EXAMPLES],
        )

    async def _gaps(self, session: AsyncClientSession) -> Finding:
        """No gap of a listener is open. A healthy listener closes one within moments of opening it."""
        stages: Stages = [{"$match": {"gap": {"$type": "object"}}}]
        return await self._finding(
            "I8", "every gap in the stream was reconciled", "listeners", stages, session
        )

    async def _finding(
        self, promise: str, title: str, collection: str, violating: Stages, session: AsyncClientSession
    ) -> Finding:
        """Run an aggregation that leaves the violating documents over."""
        checked = await self._count(collection, [], session)
        violations = await self._count(collection, violating, session)
        examples: list[str] = []
        if violations:
            sample = [*violating, {"$limit": EXAMPLES}, {"$project": {"_id": 1}}]
            found = await self._db[collection].aggregate(sample, session=session)
            examples = [str(each["_id"]) async for each in found]
        return Finding(
            promise=promise, title=title, checked=checked, violations=violations, examples=examples
        )

    async def _count(self, collection: str, stages: Stages, session: AsyncClientSession) -> int:
        cursor = await self._db[collection].aggregate([*stages, {"$count": "n"}], session=session)
        counted = await cursor.to_list(1)
        return int(counted[0]["n"]) if counted else 0


def _having(array: str, field: str, values: list[str]) -> Doc:
    return {"$filter": {"input": array, "cond": {"$in": [f"$$this.{field}", values]}}}


def _join(collection: str, local: str, foreign: str, name: str) -> Doc:
    return {"$lookup": {"from": collection, "localField": local, "foreignField": foreign, "as": name}}


def _lost(file_id: str, size: str) -> Stages:
    """Leave documents over whose file in GridFS is missing, or of another size than they say."""
    return [
        {"$match": {file_id: {"$exists": True}}},
        _join("documents.files", file_id, "_id", "file"),
        {"$match": {"$expr": {"$ne": [{"$first": "$file.length"}, f"${size}"]}}},
    ]
