"""Secrets that all processes of one installation share."""

import secrets

from bson.binary import Binary
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.errors import StoreError
from pipeline.store.driver import Doc, translated


class Keys:
    """The collection `keys`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._keys = db["keys"]

    @translated
    async def get(self, name: str, length: int) -> bytes:
        """Return the key of that name, made at its first use by whichever process comes first."""
        found = await self._keys.find_one_and_update(
            {"_id": name},
            {"$setOnInsert": {"key": Binary(secrets.token_bytes(length))}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            raise StoreError(f"the key {name!r} was neither found nor made")
        return bytes(found["key"])
