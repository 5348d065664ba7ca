"""The change streams that are open on a database, seen and ended from the server's side."""

from pymongo.read_concern import ReadConcern

from pipeline.store import Store


async def open_streams(store: Store) -> list[int]:
    """Return the cursors of the change streams on this database."""
    stages = [{"$currentOp": {"idleCursors": True, "allUsers": True}}, {"$match": {"cursor.tailable": True}}]
    admin = store.db.client.admin.with_options(read_concern=ReadConcern("local"))
    found = [each async for each in await admin.aggregate(stages)]
    # The stream's own namespace while it is idle, the command's while it is waited on.
    own = (f"{store.db.name}.$cmd.aggregate", f"{store.db.name}.$cmd")
    return [each["cursor"]["cursorId"] for each in found if each["ns"] in own]


async def kill_streams(store: Store) -> int:
    """End them; returns how many there were."""
    cursors = await open_streams(store)
    if cursors:
        await store.db.command({"killCursors": "$cmd.aggregate", "cursors": cursors})
    return len(cursors)
