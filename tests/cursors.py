"""Change streams that are killed on the server."""

from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

_OPEN: list[dict[str, Any]] = [
    {"$currentOp": {"idleCursors": True, "allUsers": True}},
    {"$match": {"cursor.cursorId": {"$exists": True}, "cursor.tailable": True, "cursor.awaitData": True}},
]


async def kill_change_streams(db: AsyncDatabase[dict[str, Any]]) -> int:
    """Kill the cursor of every change stream of a database; returns how many there were."""
    admin = db.client.get_database("admin", read_concern=ReadConcern("local"))
    found = [each["cursor"] async for each in await admin.aggregate(_OPEN)]
    ours = [each["cursorId"] for each in found if each["originatingCommand"]["$db"] == db.name]
    if ours:
        await db.command("killCursors", "$cmd.aggregate", cursors=ours)
    return len(ours)
