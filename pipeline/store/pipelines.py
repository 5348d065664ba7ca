"""Which pipelines there are: workers register what they host, so that a wrong name is refused early."""

from collections.abc import Iterable

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.stage import Pipeline
from pipeline.store.driver import Doc, translated


class Pipelines:
    """The collection `pipelines`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._pipelines = db["pipelines"]

    @translated
    async def register(self, pipelines: Iterable[Pipeline]) -> None:
        """Write what each pipeline is; an unchanged one costs no write that matters."""
        for pipeline in pipelines:
            stages = [{"name": stage.name, "version": stage.version} for stage in pipeline.stages]
            record = {"name": pipeline.name, "version": pipeline.version, "stages": stages}
            await self._pipelines.update_one(
                {"_id": f"{pipeline.name}@{pipeline.version}"}, {"$set": record}, upsert=True
            )

    @translated
    async def list(self) -> list[Doc]:
        """Return all that were ever registered, newest version first."""
        return await self._pipelines.find({}).sort([("name", 1), ("version", -1)]).to_list()
