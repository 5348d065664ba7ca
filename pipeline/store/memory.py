"""What stages remember across jobs: results by the content that they were made of, for a while."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.errors import PermanentError
from pipeline.model import Task
from pipeline.store.driver import UNSTORABLE, Doc, translated
from pipeline.updates import after


class Memory:
    """The collection `memories`. A TTL index removes what is over, within a minute or so."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._memories = db["memories"]

    @translated
    async def recall(self, task: Task, version: int, key: Mapping[str, Any]) -> tuple[Any] | None:
        """Return the value that this task's tenant and stage remember under a key, else None.

        One indexed read. What is over is not returned, also before it is removed.
        """
        query = {
            "_id": _memory_id(task, version, key),
            "tenant": task.tenant,
            "$expr": {"$lt": ["$$NOW", "$expires_at"]},
        }
        found = await self._memories.find_one(query, {"value": 1})
        return None if found is None else (found["value"],)

    @translated
    async def keep(
        self, task: Task, version: int, key: Mapping[str, Any], value: Any, lifetime: timedelta
    ) -> None:
        """Remember a value for a time; one that is there is replaced.

        Raises:
            PermanentError: the value can't be stored.
        """
        memory = {"tenant": task.tenant, "stage": task.stage, "job": task.job, "value": value}
        update = {
            **{name: {"$literal": each} for name, each in memory.items()},
            "expires_at": after(lifetime),
        }
        match = {"_id": _memory_id(task, version, key)}
        try:
            await self._memories.update_one(match, [{"$set": update}], upsert=True)
        except UNSTORABLE as error:
            raise PermanentError(f"what is to be remembered cannot be stored: {error}") from error


def _memory_id(task: Task, version: int, key: Mapping[str, Any]) -> str:
    """Return the hash of all that a value depends on, the tenant among it: none finds another's."""
    content = json.dumps([task.tenant, task.stage, version, key], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()
