"""Ponds: queues beside a stage's own, of tasks that one subject holds back.

A task that may not run for what it belongs to, such as a paused tenant, leaves its stage's queue, so that
no other claim meets it: the claim's index sorts by queue first. When its subject is open again it is claimed
from its pond like any other, and nothing has to be moved back.
"""

from collections.abc import Iterable, Sequence

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store.driver import Doc, translated

STAGE_QUEUE: Doc = {"$first": {"$split": ["$queue", "#"]}}
"""Expression: the queue of a task's stage, which is its own unless it is in a pond."""
_AFTER = chr(ord("#") + 1)


class Ponds:
    """The ponds of the hot queue."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._tasks = db["tasks"]

    @translated
    async def put(self, tasks: Sequence[str], subject: str) -> int:
        """Move those of these tasks that are ready to a subject's pond; returns how many."""
        pond = {"$concat": [STAGE_QUEUE, {"$literal": f"#{subject}"}]}
        result = await self._tasks.update_many(
            {"_id": {"$in": list(tasks)}, "state": "ready"}, [{"$set": {"queue": pond}}]
        )
        return result.modified_count

    @translated
    async def filled(self, queues: Iterable[str]) -> list[str]:
        """Return the ponds beside these queues in which tasks are, by skipping through the index."""
        found: list[str] = []
        for queue in queues:
            last: Doc | None = {"queue": f"{queue}#"}
            # One seek for each: `distinct` would read all keys, as the index is a partial one.
            while last is not None:
                beyond = {"state": "ready", "queue": {"$gt": last["queue"], "$lt": queue + _AFTER}}
                last = await self._tasks.find_one(beyond, {"queue": 1}, sort=[("queue", 1)])
                found += [last["queue"]] if last is not None else []
        return found
