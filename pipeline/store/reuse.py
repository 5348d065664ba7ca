"""Earlier outputs of a job that are as good as new ones: of the same recipe, and the same before them."""

from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.model import StageOutput, Task, task_id
from pipeline.recipe import Recipe
from pipeline.store.driver import Doc, reading, translated

_CONTENT = {"body": 1, "file_id": 1, "sha256": 1, "size": 1, "revision": 1}


class Reuse:
    """What stages wrote in earlier revisions of their job."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._client = db.client
        self._tasks = db["tasks"]
        self._outputs = db["outputs"]

    @translated
    async def find(self, task: Task, recipe: Recipe) -> StageOutput | None:
        """Return the newest output that this task's stage wrote of the same, by the same; None if none.

        A stage may read every output before it, not only its input: all of them have to be the same. Outputs
        of releases that did not store by what they were made are never returned. Four reads, by id.
        """
        async with reading(self._client, task.as_of) as session:
            for earlier in await self._alike(task, recipe, session):
                if not await self._same_before(task, earlier, session):
                    continue
                found = await self._outputs.find_one({"_id": earlier}, _CONTENT, session=session)
                return None if found is None else _reused(task, recipe, found)
        return None

    async def _alike(self, task: Task, recipe: Recipe, session: AsyncClientSession) -> list[str]:
        """Return the ids of earlier outputs of the same input and recipe, the newest first."""
        ids = [task_id(task.job, task.stage, revision) for revision in range(1, task.revision)]
        query: dict[str, Any] = {
            "_id": {"$in": ids},
            "input_sha256": task.input.sha256,
            "stage_version": recipe.version,
            "params": recipe.params,
            "engine": recipe.engine,
        }
        found = {each["_id"] async for each in self._outputs.find(query, {"_id": 1}, session=session)}
        return [each for each in reversed(ids) if each in found]

    async def _same_before(self, task: Task, earlier: str, session: AsyncClientSession) -> bool:
        """Tell whether every output before an earlier one had the content of that before this task."""
        record = await self._tasks.find_one({"_id": earlier}, {"inputs": 1}, session=session)
        if record is None or record["inputs"].keys() != task.inputs.keys():
            return False
        pairs = [
            (task_id(task.job, stage, record["inputs"][stage]), task_id(task.job, stage, revision))
            for stage, revision in task.inputs.items()
            if record["inputs"][stage] != revision
        ]
        ids = [each for pair in pairs for each in pair]
        cursor = self._outputs.find({"_id": {"$in": ids}}, {"sha256": 1}, session=session)
        hashes = {each["_id"]: each["sha256"] async for each in cursor}
        return all(then in hashes and hashes[then] == hashes.get(now) for then, now in pairs)


def _reused(task: Task, recipe: Recipe, found: Doc) -> StageOutput:
    return StageOutput(
        body=found.get("body", {}),
        sha256=found["sha256"],
        size=found["size"],
        input_sha256=task.input.sha256,
        recipe=recipe,
        file_id=found.get("file_id"),
        reused_from=found["revision"],
    )
