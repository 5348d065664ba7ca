"""What stages remember across jobs: results by the content that they were made of, for a while."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from pymongo import DeleteOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.errors import PermanentError
from pipeline.model import Task
from pipeline.store.driver import UNSTORABLE, Doc, translated
from pipeline.updates import after

_MARKED = timedelta(days=1)
"""For so long what began to be made and never was is kept, unless somebody else makes it."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes what isn't remembered yet: a call within one claim of a task."""

    task: str
    fence: int
    call: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known under a key: at most one of the two."""

    value: tuple[Any] | None = None
    maker: Maker | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: the key, within a task's tenant and stage of one version, and for whom."""

    task: Task
    version: int
    key: Mapping[str, Any]

    @property
    def memory_id(self) -> str:
        """The hash of all that a value depends on, the tenant among it: none finds another's."""
        content = json.dumps(
            [self.task.tenant, self.task.stage, self.version, self.key], sort_keys=True, ensure_ascii=False
        )
        return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()

    @property
    def mark_id(self) -> str:
        """Where it says who makes it."""
        return f"making.{self.memory_id}"


class Memories:
    """The collection `memories`. A TTL index removes what is over, within a minute or so.

    A value, and beside it while it is being made a mark of who makes it: a document of its own, which
    earlier releases don't look at.
    """

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._memories = db["memories"]
        self._tasks = db["tasks"]

    @translated
    async def look(self, question: Question) -> Memory:
        """Return what is remembered, or who makes it.

        One indexed read. A value that is over is not returned, also before it is removed.
        """
        memory, mark = question.memory_id, question.mark_id
        query = {"_id": {"$in": [memory, mark]}, "tenant": question.task.tenant}
        wanted = {"value": 1, "maker": 1, "valid": {"$lt": ["$$NOW", "$expires_at"]}}
        found = {each["_id"]: each async for each in self._memories.find(query, wanted)}
        if memory in found and found[memory]["valid"]:
            return Memory(value=(found[memory]["value"],))
        return Memory(maker=Maker(**found[mark]["maker"]) if mark in found else None)

    @translated
    async def begin(self, question: Question, maker: Maker, instead: Maker | None) -> bool:
        """Mark it as made by `maker` if nobody makes it, or only `instead` did; False: another was first."""
        free = [None, *(_literal(each) for each in (maker, instead) if each)]
        taken = {"$not": [{"$in": [{"$ifNull": ["$maker", None]}, free]}]}
        new = {
            "_id": question.mark_id,
            "tenant": {"$literal": question.task.tenant},
            "job": {"$literal": question.task.job},
            "maker": _literal(maker),
            "expires_at": after(_MARKED),
        }
        marked = await self._memories.find_one_and_update(
            {"_id": question.mark_id},
            [{"$replaceWith": {"$cond": [taken, "$$ROOT", new]}}],
            {"maker": 1},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return marked is not None and Maker(**marked["maker"]) == maker

    @translated
    async def lives(self, maker: Maker) -> bool:
        """Tell whether the claim still holds within which something is made."""
        query = {
            "_id": maker.task,
            "state": "running",
            "lease.fence": maker.fence,
            "$expr": {"$lt": ["$$NOW", "$lease.until"]},
        }
        return await self._tasks.find_one(query, {"_id": 1}) is not None

    @translated
    async def keep(self, question: Question, value: Any, lifetime: timedelta, maker: Maker | None) -> None:
        """Remember a value for a time; one that is there is replaced. `maker` has made it.

        Raises:
            PermanentError: the value can't be stored.
        """
        task = question.task
        memory = {"tenant": task.tenant, "stage": task.stage, "job": task.job, "value": value}
        update = {
            **{name: {"$literal": each} for name, each in memory.items()},
            "expires_at": after(lifetime),
        }
        writes: list[UpdateOne | DeleteOne] = [
            UpdateOne({"_id": question.memory_id}, [{"$set": update}], upsert=True)
        ]
        if maker:
            writes.append(DeleteOne(_mark_of(question, maker)))
        try:
            await self._memories.bulk_write(writes)
        except UNSTORABLE as error:
            raise PermanentError(f"what is to be remembered cannot be stored: {error}") from error

    @translated
    async def give_up(self, question: Question, maker: Maker) -> None:
        """Let others make it."""
        await self._memories.delete_one(_mark_of(question, maker))


def _literal(maker: Maker) -> Doc:
    return {"$literal": asdict(maker)}


def _mark_of(question: Question, maker: Maker) -> Doc:
    return {"_id": question.mark_id, "maker": asdict(maker)}
