"""Which pipelines there are: workers register what they host, so that a wrong name is refused early."""

from collections.abc import Iterable

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.context import Document
from pipeline.stage import Pipeline, Stage
from pipeline.store.driver import Doc, translated


class Pipelines:
    """The collection `pipelines`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._pipelines = db["pipelines"]

    @translated
    async def register(self, pipelines: Iterable[Pipeline]) -> None:
        """Write what each pipeline is; an unchanged one costs no write that matters."""
        for pipeline in pipelines:
            stages = [_registered(stage) for stage in pipeline.stages]
            record = {"name": pipeline.name, "version": pipeline.version, "stages": stages}
            await self._pipelines.update_one(
                {"_id": f"{pipeline.name}@{pipeline.version}"}, {"$set": record}, upsert=True
            )

    @translated
    async def get(self, name: str, version: int) -> Doc | None:
        """Return what this version of a pipeline is, None when no worker ever registered it.

        `stages` has `name`, `version`, `max_attempts` and `takes_document` of each, in order.
        """
        return await self._pipelines.find_one({"_id": f"{name}@{version}"})

    @translated
    async def list(self) -> list[Doc]:
        """Return all that were ever registered, newest version first."""
        return await self._pipelines.find({}).sort([("name", 1), ("version", -1)]).to_list()


def _registered(stage: Stage) -> Doc:
    return {
        "name": stage.name,
        "version": stage.version,
        "max_attempts": stage.retry.max_attempts,
        "takes_document": stage.input is Document,
    }
