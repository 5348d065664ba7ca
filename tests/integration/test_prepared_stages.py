"""Stages that are classes: prepared once in a worker before it claims, closed at its end."""

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from pipeline import Document, Stage, StageContext, run_stage, stage
from pipeline.client import Client
from pipeline.errors import DefinitionError
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.worker import Worker
from tests.support import Text, pipeline_of, running, submit, until


class Suffix(BaseModel):
    suffix: str = "!"


def modelled(told: list[str], *, plain: bool) -> Stage:
    """A stage that tells what is done with it, with coroutine functions or plain ones."""

    class Plain:
        def prepare(self) -> None:
            told.append("prepare")
            self.model = str.upper

        def run(self, document: Document, context: StageContext, params: Suffix) -> Text:
            told.append("run")
            return Text(text=self.model(document.name) + params.suffix)

        def close(self) -> None:
            told.append("close")

    class Awaited(Plain):
        async def prepare(self) -> None:  # type: ignore[override]
            super().prepare()

        async def run(  # type: ignore[override]
            self, document: Document, context: StageContext, params: Suffix
        ) -> Text:
            return super().run(document, context, params)

        async def close(self) -> None:  # type: ignore[override]
            super().close()

    return stage(name="model")(Plain if plain else Awaited)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_class_is_prepared_once_for_all_attempts_and_closed(store: Store, plain: bool) -> None:
    told: list[str] = []
    client = Client(store)
    async with running(store, pipeline_of(modelled(told, plain=plain))):
        assert told == ["prepare"]  # nothing was submitted yet
        jobs = [await submit(client, "test", params={"model": {"suffix": "?"}}) for _ in range(3)]
        assert {(await until(store, job.id)).state for job in jobs} == {"succeeded"}
    assert told == ["prepare", "run", "run", "run", "close"]
    assert await client.output(jobs[0].id, "model") == {"text": "A.TXT?"}


async def test_what_is_not_claimed_here_is_not_prepared(store: Store) -> None:
    told: list[str] = []

    @stage(name="cheap")
    async def cheap(text: Text, context: StageContext) -> Text:
        return text

    async with running(store, pipeline_of(modelled(told, plain=True), cheap), stages=["cheap"]):
        pass
    assert told == []


async def test_a_trial_prepares_and_closes(tmp_path: Path) -> None:
    told: list[str] = []
    file = tmp_path / "b.txt"
    file.write_text("")
    assert await run_stage(modelled(told, plain=True), file) == Text(text="B.TXT!")
    assert told == ["prepare", "run", "close"]


async def test_a_worker_that_cannot_prepare_does_not_start(
    store_settings: StoreSettings, store: Store
) -> None:
    assert store_settings.mongodb_uri is not None
    job = await submit(Client(store), "heavy")
    ended = await anyio.run_process(
        [sys.executable, "-m", "api", "worker", "--pipeline", "tests.integration.preparing:HEAVY"],
        env={
            **os.environ,
            "MILLRACE_MONGODB_URI": store_settings.mongodb_uri.get_secret_value(),
            "MILLRACE_DATABASE": store_settings.database,
        },
        check=False,
    )
    assert ended.returncode == 1
    last = ended.stderr.decode().splitlines()[-1]
    assert last.startswith("millrace: stage 'heavy' could not be prepared: FileNotFoundError")
    assert (await Client(store).get(job.id)).state == "submitted"  # nothing was charged for it


async def test_a_stop_does_not_wait_for_a_model_to_load(store: Store) -> None:
    loading = anyio.Event()

    @stage(name="endless")
    class Endless:
        async def prepare(self) -> None:
            loading.set()
            await anyio.sleep_forever()

        async def run(self, document: Document, context: StageContext) -> Text:
            return Text(text="")

    worker = Worker(store, [pipeline_of(Endless)])
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await loading.wait()
        worker.stop()
    assert await store.workers.alive() == []


class Needy:
    def __init__(self, path: str) -> None: ...

    def run(self, document: Document, context: StageContext) -> Text: ...  # type: ignore[empty-body]


class Idle: ...


class Asking:
    def prepare(self, path: str) -> None: ...

    def run(self, document: Document, context: StageContext) -> Text: ...  # type: ignore[empty-body]


class Untyped:
    def run(self, document, context: StageContext) -> Text: ...  # type: ignore[no-untyped-def,empty-body]


@pytest.mark.parametrize(
    ("made_by", "reason"),
    [(Needy, "wants path"), (Idle, "method `run`"), (Asking, "`prepare`"), (Untyped, "annotate 'document'")],
)
def test_a_class_that_cannot_work_is_refused(made_by: type[Any], reason: str) -> None:
    with pytest.raises(DefinitionError, match=f"stage 'bad'.*{reason}"):
        stage(name="bad")(made_by)
