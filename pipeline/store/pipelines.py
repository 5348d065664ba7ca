"""Which pipelines there are: workers register what they host, so that a wrong name is refused early."""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from pymongo.asynchronous.database import AsyncDatabase

from pipeline.document import Document
from pipeline.errors import StageError
from pipeline.stage import Pipeline, Stage
from pipeline.store.driver import Doc, translated

_log = logging.getLogger("millrace.store")

KEPT_SECONDS = 5.0
"""How long names are kept that were read: a new version's stages show that much later, at most."""


class Pipelines:
    """The collection `pipelines`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._pipelines = db["pipelines"]
        self._names: Mapping[str, Sequence[str]] = {}
        self._secrets: Mapping[str, Collection[str]] = {}
        self._known: list[Stage] = []
        self._read_at = float("-inf")

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

        `stages` has `name`, `version`, `max_attempts`, `takes_document` and `units` of each, in order, and
        `key`, `engine`, `tariff` in JSON and `secrets`, the names of secret params, of those that have them.
        """
        return await self._pipelines.find_one({"_id": f"{name}@{version}"})

    async def stage_names(self) -> Mapping[str, Sequence[str]]:
        """Return the stages of every registered pipeline, in its newest version, of a few seconds ago."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            await self._read_names()
        return self._names

    async def stages_of(self, name: str) -> Sequence[str]:
        """Return the stages of a pipeline's newest version; none when no worker has registered it by now."""
        names = await self.stage_names()
        if name not in names:
            names = await self._read_names()
        return names.get(name, ())

    def know(self, pipelines: Iterable[Pipeline]) -> None:
        """Take the secret params of these for such, whether a worker has registered them or not."""
        self._known += [stage for pipeline in pipelines for stage in pipeline.stages]

    async def secrets(self, stages: Collection[str]) -> Mapping[str, Collection[str]]:
        """Return the names of the secret params of stages, in whatever pipeline and version they are."""
        await self.stage_names()
        if any(stage not in self._secrets for stage in stages):
            await self._read_names()
        return self._secrets

    async def _read_names(self) -> Mapping[str, Sequence[str]]:
        asked_at, found = time.monotonic(), dict[str, Sequence[str]]()
        secrets = defaultdict[str, set[str]](set)
        for record in await self.list():
            found.setdefault(record["name"], [stage["name"] for stage in record["stages"]])
            for stage in record["stages"]:
                secrets[stage["name"]].update(stage.get("secrets", ()))
        for known in self._known:
            secrets[known.name].update(known.secrets)
        self._names, self._secrets, self._read_at = found, dict(secrets), asked_at
        return found

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
        "units": sorted(stage.units),
        **({} if stage.key is None else {"key": stage.key}),
        **({"secrets": sorted(stage.secrets)} if stage.secrets else {}),
        **({} if stage.apart is None else {"service": stage.service}),
        **_engine(stage),
        **_tariff(stage),
    }


def _engine(stage: Stage) -> Doc:
    """Return what a stage says of its engine; nothing where it can't, as its attempts will say why."""
    try:
        engine = stage.recipe({}).engine
    except StageError as error:
        _log.warning("stage %s does not say by what it works: %s", stage.name, error)
        return {}
    return {} if engine is None else {"engine": engine}


def _tariff(stage: Stage) -> Doc:
    """Return what a stage says of its models' prices, as text: their names may be anything."""
    try:
        tariff = None if stage.tariff is None else stage.tariff()
    except StageError as error:
        _log.warning("stage %s does not say what its models cost: %s", stage.name, error)
        return {}
    return {} if tariff is None else {"tariff": tariff.model_dump_json()}
