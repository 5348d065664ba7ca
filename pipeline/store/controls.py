"""What operators have stopped: one document for each pause, there as long as it lasts."""

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store.changes import OperationTime
from pipeline.store.driver import Doc, reading, translated


class Controls:
    """The collection `controls`. Its inserts and deletes are what workers hear of."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._db = db
        self._controls = db["controls"]

    @translated
    async def pause(self, subject: str, reason: str | None) -> Doc:
        """Note that a subject is paused; one that was paused before stays so, with its time and reason."""
        update = {
            "reason": {"$ifNull": ["$reason", {"$literal": reason}]},
            "at": {"$ifNull": ["$at", "$$NOW"]},
        }
        await self._controls.update_one({"_id": subject}, [{"$set": update}], upsert=True)
        return await self._controls.find_one({"_id": subject}) or {"_id": subject}

    @translated
    async def resume(self, subject: str) -> bool:
        """Take a pause away; False when there was none."""
        result = await self._controls.delete_one({"_id": subject})
        return result.deleted_count == 1

    @translated
    async def list(self, as_of: OperationTime | None = None) -> list[Doc]:
        """Return all pauses, as of an operation time at least, by subject."""
        async with reading(self._db.client, as_of) as session:
            return await self._controls.find({}, session=session).sort("_id", 1).to_list()
