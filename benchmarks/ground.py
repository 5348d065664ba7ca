"""What every benchmark stands on: a mongod of its own, stages that do nothing, and the proof at the end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, SecretStr

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.embedded import embedded_mongod
from pipeline.model import DEFAULT_TENANT
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.submission import job_document

PIPELINE = "noop"


@dataclass(frozen=True, slots=True)
class Form:
    """How much is measured: `short` ends in a tenth of the time, and its figures scatter more."""

    short: bool = False

    def size(self, whole: int, short: int) -> int:
        """Return the one that applies."""
        return short if self.short else whole


class Nothing(BaseModel):
    """The output of a stage that does nothing."""

    x: int


@stage(name="first")
async def first(document: Document, context: StageContext) -> Nothing:
    """Do nothing with a document."""
    return Nothing(x=1)


@stage(name="second")
async def second(given: Nothing, context: StageContext) -> Nothing:
    """Do nothing with what came before."""
    return Nothing(x=given.x + 1)


@stage(name="third")
async def third(given: Nothing, context: StageContext) -> Nothing:
    """Do nothing, and end the job."""
    return Nothing(x=given.x + 1)


NOOP = Pipeline(PIPELINE, [first, second, third])
"""Three stages that do nothing: what remains is what the engine costs."""


ENDS: list[Mapping[str, Any]] = [
    {"$match": {"operationType": "update", "updateDescription.updatedFields.state": "succeeded"}},
    {"$project": {"documentKey": 1}},
]
"""What a change stream on `jobs` filters for that tells of jobs' ends, and nothing else."""


@asynccontextmanager
async def fresh_store(name: str = "bench") -> AsyncIterator[Store]:
    """Run a mongod of this benchmark's own, a replica set of one, and connect to an installed database."""
    with TemporaryDirectory(prefix="millrace-bench-") as folder:
        async with embedded_mongod(Path(folder)) as mongod:
            settings = StoreSettings(mongodb_uri=SecretStr(mongod.uri), database=name)
            async with Store(settings) as store:
                await store.install()
                yield store


def jobs(count: int, pipeline: str = PIPELINE, tenant: str = DEFAULT_TENANT) -> list[dict[str, Any]]:
    """Make valid jobs, each with a document of two bytes inline."""
    return [job_document(pipeline, name="x.txt", content=b"hi", tenant=tenant) for _ in range(count)]


async def verify(store: Store) -> None:
    """Prove that nothing was lost or doubled by what was measured.

    Raises:
        RuntimeError: a promise is broken; the figures mean nothing then.
    """
    broken: Sequence[Any] = [finding for finding in await store.audit() if finding.violations]
    if broken:
        raise RuntimeError(f"the benchmark broke promises: {broken}")
