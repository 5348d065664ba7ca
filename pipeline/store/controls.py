"""What operators have stopped, and breakers: one document for each, there as long as it holds."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from pipeline.breaker import Breaker, Decide
from pipeline.store.changes import OperationTime
from pipeline.store.driver import Doc, reading, translated


class Controls:
    """The collection `controls`. Its inserts, replacements and deletes are what workers hear of."""

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
        """Take a pause away, or close a breaker; False when there was none."""
        result = await self._controls.delete_one({"_id": subject})
        return result.deleted_count == 1

    @translated
    async def change(self, subject: str, decide: Decide) -> tuple[Breaker | None, datetime, bool]:
        """Change a service's breaker by compare-and-set; `decide` is asked again when others were faster.

        Returns what it is then, the server's time, and whether this has changed it.
        """
        while True:
            hello = await self._db.command("hello", codec_options=self._db.codec_options)
            now: datetime = hello["localTime"]
            found = await self._controls.find_one({"_id": subject})
            before = breaker_of(found)
            wanted = decide(before, now)
            if wanted == before:
                return before, now, False
            if await self._replace(subject, found, wanted):
                return wanted, now, True

    async def _replace(self, subject: str, found: Doc | None, wanted: Breaker | None) -> bool:
        """Replace the document of a breaker as it was found; False when it has changed since."""
        if wanted is None:
            deleted = await self._controls.delete_one({"_id": subject, "service": found and found["service"]})
            return deleted.deleted_count == 1
        # As a whole: a replacement tells all of it to whoever hears of it.
        document = {"_id": subject, "service": {**asdict(wanted), "stages": list(wanted.stages)}}
        if found is not None:
            same = {"_id": subject, "service": found["service"]}
            return (await self._controls.replace_one(same, document)).matched_count == 1
        try:
            await self._controls.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    @translated
    async def list(self, as_of: OperationTime | None = None) -> list[Doc]:
        """Return all pauses and breakers, by subject, as of an operation time at least.

        `now` in each is the server's time.
        """
        stages: list[Doc] = [{"$sort": {"_id": 1}}, {"$set": {"now": "$$NOW"}}]
        async with reading(self._db.client, as_of) as session:
            return await (await self._controls.aggregate(stages, session=session)).to_list()


def breaker_of(control: Mapping[str, Any] | None) -> Breaker | None:
    """Return the breaker in a control's document; None when it is no service's, or there is none."""
    service = control and control.get("service")
    return Breaker(**{**service, "stages": tuple(service["stages"])}) if service else None
