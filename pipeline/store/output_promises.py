"""The promises about outputs: one for every success, written under the last lease that its task ever had.

Compared here and not on the server: a lookup would read outputs as a whole, of which ids are enough.
"""

from collections.abc import AsyncIterator

from pipeline.store.scan import Check, Page, Snapshot, by_id, walk


def successes_have_outputs() -> Check:
    """Leave tasks over that have succeeded without an output, or have one without having succeeded."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, "tasks"):
            state = {"$project": {"state": 1}}
            done = {
                row["_id"]: row["state"] == "succeeded"
                async for row in database.rows("tasks", [*page, state])
            }
            outputs = await by_id(database, "outputs", done)
            yield Page(checked, [task for task in done if done[task] != (task in outputs)])

    return pages


def outputs_have_tasks() -> Check:
    """Leave outputs over whose task is not there."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, "outputs"):
            only_id = {"$project": {"_id": 1}}
            outputs = [row["_id"] async for row in database.rows("outputs", [*page, only_id])]
            tasks = await by_id(database, "tasks", outputs)
            yield Page(checked, [output for output in outputs if output not in tasks])

    return pages


def outputs_have_the_last_fence() -> Check:
    """Leave outputs over that were not written under the last lease that their task ever had."""

    async def pages(database: Snapshot) -> AsyncIterator[Page]:
        async for page, checked in walk(database, "outputs"):
            fence = {"$project": {"fence": 1}}
            fences = {row["_id"]: row.get("fence") async for row in database.rows("outputs", [*page, fence])}
            tasks = await by_id(database, "tasks", fences, "lease.fence")
            wrong = [task for task in tasks if tasks[task]["lease"]["fence"] != fences[task]]
            yield Page(checked, wrong)

    return pages
