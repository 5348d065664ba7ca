"""Budgets as operators have set them, and the tasks that wait for one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import Decimal128, ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from pipeline import transitions
from pipeline.store.driver import Doc, translated
from pipeline.usage import Budget

DEPLOYMENT = "deployment"
_TOLD = "told"
"""The document whose replacement tells workers that something waits no longer. It is no budget."""


@dataclass(frozen=True, slots=True)
class StoredBudget:
    """A budget as it is stored."""

    budget: Budget
    at: datetime
    version: Any
    """Another one each time it is set."""


class Budgets:
    """The collection `budgets`, by subject; made when the first is set."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._budgets = db["budgets"]
        self._tasks = db["tasks"]

    @translated
    async def set(self, subject: str, budget: Budget) -> None:
        """Set a subject's budget, then let go on what waits for one.

        If this is interrupted in between, that waits until its day is over, or a budget is set again.
        """
        cost = None if budget.cost is None else Decimal128(budget.cost)
        stored = {"cost": cost, "tokens": budget.tokens, "version": ObjectId()}
        await self._budgets.update_one({"_id": subject}, [{"$set": {**stored, "at": "$$NOW"}}], upsert=True)
        await self.release(subject)

    @translated
    async def remove(self, subject: str) -> bool:
        """Take a budget away, then let go on what waits for one; False when there was none."""
        if (await self._budgets.delete_one({"_id": subject})).deleted_count == 0:
            return False
        await self.release(subject)
        return True

    @translated
    async def list(self) -> dict[str, StoredBudget]:
        """Return all budgets, by subject."""
        return await self._found({"_id": {"$ne": _TOLD}})

    @translated
    async def of(self, tenant: str, job: str) -> dict[str, StoredBudget]:
        """Return what bounds a job of a tenant: its own budget, the tenant's, and the deployment's.

        One read by id.
        """
        own, each = f"tenant:{tenant}", "tenant:*"
        found = await self._found({"_id": {"$in": [f"job:{job}", own, each, DEPLOYMENT]}})
        if own in found:
            found.pop(each, None)
        return found

    @translated
    async def release(self, subject: str) -> int:
        """Make due what waits for a budget, and tell workers; each checks anew. Returns how many.

        Of a tenant's budget its own tasks, of another all. By the index of delayed tasks.
        """
        waiting: Doc = {
            "state": "ready",
            "lease.until": {"$type": "date"},
            "snoozed.budget": {"$type": "string"},
        }
        kind, _, tenant = subject.partition(":")
        if kind == "tenant" and tenant != "*":
            waiting["tenant"] = tenant
        result = await self._tasks.update_many(waiting, [transitions.hasten()])
        if result.modified_count:
            await self._budgets.replace_one({"_id": _TOLD}, {"version": ObjectId()}, upsert=True)
        return result.modified_count

    async def _found(self, query: Doc) -> dict[str, StoredBudget]:
        return {each["_id"]: _stored(each) async for each in self._budgets.find(query).sort("_id", 1)}


def _stored(stored: Doc) -> StoredBudget:
    cost = stored["cost"]
    budget = Budget(None if cost is None else cost.to_decimal(), stored["tokens"])
    return StoredBudget(budget, stored["at"], stored["version"])
