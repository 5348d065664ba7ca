"""Secret params: nowhere in clear in the database, and there for the stage that needs them."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.errors import DefinitionError, KeyMissing, SubmissionError
from pipeline.model import new_job_id
from pipeline.reprocess import Reprocess
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.submission import job_document
from pipeline.timetable import Timetable
from pipeline.vault import Vault, secret_fields
from stages.ocr import ocr
from tests.integration.api_server import serving
from tests.ocr_documents import SENTENCES, draw_pdf, write_lines
from tests.support import Count, Text, pieces, running, submit, until

PAPERS = Pipeline("papers", [ocr])
CLEAR = "hunter2-and-more"
OLD, NEW = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2))


class Unlocking(BaseModel, extra="forbid"):
    password: SecretStr | None = None
    codes: dict[str, SecretStr] = {}
    suffix: str = ""


@stage(name="unlock")
async def unlock(document: Document, context: StageContext, params: Unlocking) -> Text:
    code = params.codes["a"].get_secret_value() if params.codes else ""
    right = params.password is not None and params.password.get_secret_value() == CLEAR
    return Text(text=f"{'open' if right else 'closed'} {len(code)}{params.suffix}")


@stage(name="count")
async def count(text: Text, context: StageContext) -> Count:
    return Count(words=len(text.text.split()))


LOCKED = Pipeline("locked", [unlock, count])


@asynccontextmanager
async def keyed(store: Store, keys: str | None = OLD) -> AsyncIterator[Store]:
    """The same database, by a process with these keys."""
    secret = None if keys is None else SecretStr(keys)
    async with Store(store.settings.model_copy(update={"secret_key": secret})) as opened:
        yield opened


async def dump(store: Store) -> str:
    """Everything that is in the database."""
    names = await store.db.list_collection_names()
    assert "jobs" in names
    return "".join([str(await store.db[name].find({}).to_list()) for name in names])


async def answered(store: Store, job: str) -> str:
    assert (await until(store, job)).state == "succeeded"
    return str((await Client(store).output(job, "unlock"))["text"])


async def test_no_secret_that_came_over_rest_is_in_the_database(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = draw_pdf(tmp_path / "a.pdf", lambda canvas: write_lines(canvas, SENTENCES), password=CLEAR)
    params = json.dumps({"ocr": {"password": CLEAR, "dpi": 100}})
    async with keyed(store) as own, serving(own.settings, (PAPERS,)) as served, running(own, PAPERS):
        fields = {"pipeline": "papers", "params": params}
        first = await served.submit(page.read_bytes(), "a.pdf", key="once", **fields)
        assert (await until(own, first["id"])).state == "succeeded"
        again = await served.submit(page.read_bytes(), "a.pdf", key="once", **fields)
        assert again["id"] == first["id"]
        picture = await served.http.get(f"/v1/jobs/{first['id']}/pages/1/image")
        assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
        shown = [await served.get(f"/v1/jobs/{first['id']}{each}") for each in ("", "/attempts", "/runs")]
    stored = await dump(store)
    assert first["id"] in stored
    assert CLEAR not in stored + caplog.text + str(shown)


async def test_other_ways_in_store_no_secret_either(store: Store) -> None:
    params = {"unlock": {"password": CLEAR, "codes": {"a": CLEAR}}}
    async with keyed(store) as own:
        client = Client(own)
        async with running(own, LOCKED):
            job = (await submit(client, "locked", params={"unlock": {"suffix": "?"}})).id
            assert await answered(own, job) == "closed 0?"
            await client.retry(job, "unlock", params=params)
            assert await answered(own, job) == f"open {len(CLEAR)}?"
        request = Reprocess(stage="unlock", params=params)
        assert (await client.plan(request)).unchanged == 1  # the same secret is no other
        name = new_job_id("default")
        batch = await client.reprocess(request, id=name)
        assert (await client.reprocess(request, id=name)).id == batch.id
        stored = await client.receive(pieces(b"x"), "a.txt")
        await Timetable(own).put_job(
            "nightly", stored, "a.txt", cron="0 3 * * *", pipeline="locked", params=params
        )
    assert CLEAR not in await dump(store)


async def test_a_secret_of_a_stage_that_nobody_has_registered_is_one_by_its_type(store: Store) -> None:
    async with keyed(store) as own:
        job = (await submit(Client(own), "locked", params={"unlock": {"password": SecretStr(CLEAR)}})).id
        assert CLEAR not in await dump(store)
        async with running(own, LOCKED):
            assert await answered(own, job) == "open 0"


async def test_without_a_key_a_secret_is_refused(store: Store) -> None:
    async with running(store, LOCKED):
        with pytest.raises(SubmissionError, match="set MILLRACE_SECRET_KEY"):
            await submit(Client(store), "locked", params={"unlock": {"password": CLEAR}})
    async with serving(store.settings, (LOCKED,)) as served:
        params = json.dumps({"unlock": {"password": CLEAR}})
        answer = await served.post(pipeline="locked", params=params)
        assert answer.status_code == 422
        assert "set MILLRACE_SECRET_KEY" in answer.json()["detail"]
        assert CLEAR not in answer.text
    assert await store.db["jobs"].count_documents({}) == 0


@pytest.mark.parametrize("keys", [NEW, None])
async def test_a_worker_without_the_key_fails_the_job_and_says_so(store: Store, keys: str | None) -> None:
    async with keyed(store) as own:
        own.pipelines.know([LOCKED])
        job = (await submit(Client(own), "locked", params={"unlock": {"password": CLEAR}})).id
    async with keyed(store, keys) as other, running(other, LOCKED):
        failed = await until(other, job)
    assert failed.error is not None
    assert (failed.state, failed.error.type) == ("failed", "KeyMissing")
    assert "add that key to MILLRACE_SECRET_KEY, restart, and retry the job" in failed.error.message
    async with keyed(store, f"{NEW},{OLD}") as both, running(both, LOCKED):
        await Client(both).retry(job)
        assert await answered(both, job) == "open 0"


async def test_an_insert_may_bring_a_secret_in_clear(store: Store) -> None:
    job = job_document("locked", name="a", content=b"x", params={"unlock": {"password": CLEAR}})
    await store.jobs.insert(job)
    async with serving(store.settings, (LOCKED,)) as served, running(store, LOCKED):
        assert await answered(store, job["_id"]) == "open 0"
        shown = [
            await served.get(f"/v1/jobs/{job['_id']}{each}") for each in ("", "/attempts", "/runs", "/why")
        ]
    assert CLEAR not in str(shown)


def test_a_secret_opens_only_where_it_belongs() -> None:
    vault = Vault(SecretStr(OLD))
    stored = vault.sealed("acme", {"unlock": {"password": CLEAR, "suffix": "!"}}, {"unlock": ["password"]})
    assert stored["unlock"]["suffix"] == "!"
    assert CLEAR not in str(stored)
    assert vault.opened("acme", stored) == {"unlock": {"password": CLEAR, "suffix": "!"}}
    sealed = stored["unlock"]["password"]
    for tenant, params in (
        ("other", stored),
        ("acme", {"unlock": {"suffix": sealed}}),
        ("acme", {"count": {"password": sealed}}),
        ("acme", {"unlock": {"password": sealed[:-6]}}),
    ):
        with pytest.raises(KeyMissing):
            vault.opened(tenant, params)


def test_params_that_name_a_secret() -> None:
    assert secret_fields(Unlocking) == {"password", "codes"}
    with pytest.raises(DefinitionError, match=r"its key names \['password'\], which are secret"):

        @stage(name="shown", key="x/{password}")
        async def shown(document: Document, context: StageContext, params: Unlocking) -> Text:
            return Text(text="")


@pytest.mark.parametrize("keys", ["", "short", f"{OLD},", "not base64!" * 9])
def test_keys_that_are_none_are_refused_and_not_shown(keys: str) -> None:
    with pytest.raises(ValidationError, match="openssl rand -base64 32") as raised:
        StoreSettings(secret_key=SecretStr(keys))
    assert not keys or keys not in str(raised.value)


def test_what_is_malformed_is_left_to_its_check() -> None:
    params: Any = {"unlock": 3}
    assert Vault(None).opened("acme", params) == params
