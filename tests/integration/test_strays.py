"""What passes the validator but can't be admitted ends failed, and says why."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.client import Client
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from pipeline.store.strays import known_pipelines
from pipeline.submission import job_document
from tests.acceptance.up import MILLRACE
from tests.integration.api_server import serving
from tests.integration.test_rest import check_problem
from tests.records import violations
from tests.support import COUNTING, Text, running, submit, until

SOON = WorkerSettings(admission_grace=timedelta(seconds=1))
LATER = WorkerSettings(admission_grace=timedelta(hours=1))
OTHER = Pipeline("other", COUNTING.stages)
NEXT = Pipeline("counting", COUNTING.stages, version=2)


class Size(BaseModel, extra="forbid"):
    dpi: int


@stage(name="scan")
async def scan(document: Document, context: StageContext, params: Size) -> Text:
    return Text(text=str(params.dpi))


SCANNING = Pipeline("scanning", [scan])


async def insert(store: Store, pipeline: str, **fields: Any) -> str:
    """Submit as any driver does."""
    job = {**job_document(pipeline, name="a.txt", content=b"one two"), **fields}
    await store.db["jobs"].insert_one(job)
    return str(job["_id"])


async def field(store: Store, job: str, name: str) -> Any:
    found = await store.db["jobs"].find_one({"_id": job})
    assert found is not None
    return found.get(name)


@asynccontextmanager
async def marked(store: Store, job: str) -> AsyncIterator[None]:
    """A worker that does not know the job's pipeline, and has seen it."""
    async with await store.db["jobs"].watch() as changes, running(store, OTHER, LATER):
        async for change in changes:
            updated = change.get("updateDescription", {}).get("updatedFields", {})
            if change["documentKey"]["_id"] == job and "admit_by" in updated:
                break
        yield


@pytest.mark.parametrize("listen", [True, False])
async def test_a_job_of_an_unknown_pipeline_fails_after_the_grace_period(store: Store, listen: bool) -> None:
    settings = WorkerSettings(admission_grace=timedelta(seconds=1), listen=listen)
    async with running(store, COUNTING, settings):
        job = await insert(store, "countign")
        view = await until(store, job)
    assert (view.state, view.stages) == ("failed", [])
    assert view.error is not None
    assert view.error.type == "UnknownPipeline"
    assert view.error.message == (
        "no live worker has known the pipeline 'countign' for 1 s; there are: counting@1. "
        "Start a worker that hosts it, then retry the job"
    )
    assert await violations(store) == {}


async def test_a_job_of_an_unknown_version_fails_and_one_of_a_known_version_runs(store: Store) -> None:
    wrong = await insert(store, "counting", pipeline_version=7.0)
    right = await insert(store, "counting", pipeline_version=1)
    async with running(store, COUNTING, SOON):
        failed = await until(store, wrong)
        assert (await until(store, right)).state == "succeeded"
    assert failed.error is not None
    assert "'counting' in version 7 for" in failed.error.message
    assert await violations(store) == {}


async def test_it_may_be_retried_once_a_worker_knows_its_pipeline(store: Store) -> None:
    job = await insert(store, "counting")
    async with running(store, OTHER, SOON):
        assert (await until(store, job)).state == "failed"
    assert (await Client(store).retry(job)).state == "submitted"
    async with running(store, COUNTING):
        assert (await until(store, job)).state == "succeeded"
    assert await violations(store) == {}


@pytest.mark.parametrize("face", ["rest", "command line"])
async def test_it_may_be_retried_from_outside_as_well(store: Store, face: str) -> None:
    job = await insert(store, "counting")
    async with running(store, OTHER, SOON):
        assert (await until(store, job)).state == "failed"
    async with serving(store.settings) as served:
        if face == "rest":
            answer = await served.http.post(f"/v1/jobs/{job}/retry")
            assert answer.status_code == 200, answer.text
            assert answer.json()["state"] == "submitted"
        else:
            words = [MILLRACE, "retry", job, "--json", "--url", f"http://127.0.0.1:{served.port}"]
            told = await anyio.run_process(words)
            assert json.loads(told.stdout)["state"] == "submitted"
        again = await served.http.post(f"/v1/jobs/{job}/retry")
        check_problem(again, 409, "submitted")
    async with running(store, COUNTING):
        assert (await until(store, job)).state == "succeeded"
    assert await violations(store) == {}


async def test_a_worker_that_comes_takes_the_mark_back(store: Store) -> None:
    job = await insert(store, "counting", pipeline_version=2)
    async with marked(store, job):
        await store.strays.unmark([("counting", 1), ("elsewhere", 2)])
        assert await field(store, job, "admit_by") is not None
        # It registers, and claims nothing of the first stage.
        async with running(store, NEXT, stages=["count"]):
            assert await field(store, job, "admit_by") is None
    assert await field(store, job, "state") == "submitted"


async def test_jobs_of_what_another_worker_hosts_are_left_alone(store: Store) -> None:
    await store.workers.register(
        "elsewhere", host="h", pid=1, queues=["counting@2/count"], slots=1, sessions=[],
        alive_for=timedelta(minutes=5),
    )  # fmt: skip
    known = known_pipelines(await store.workers.alive())
    assert known == {"counting": {2}}
    jobs = [await insert(store, "counting"), await insert(store, "counting", pipeline_version=2.0)]
    stray = await insert(store, "counting", pipeline_version=1)
    assert await store.strays.mark(known, timedelta(0)) == 1
    assert await store.strays.mark(known, timedelta(0)) == 0
    assert [await field(store, job, "admit_by") for job in jobs] == [None, None]
    assert [each["_id"] for each in await store.strays.overdue(10)] == [stray]


BAD: list[tuple[Mapping[str, Any], str]] = [
    (
        {"scan": {"dpi": "many"}},
        "the params of stage 'scan' are not valid: dpi: Input should be a valid integer",
    ),
    ({"scan": 300}, "the params of stage 'scan' are not valid: Input should be"),
    ({"scan": {"dpi": 1, "$where": "1"}}, "the params of stage 'scan' are not valid: $where: Extra inputs"),
    ({"scam": {"dpi": 300}}, "pipeline 'scanning' has no stage 'scam' to give params to"),
]


async def test_bad_params_fail_a_job_before_anything_of_it_runs(store: Store) -> None:
    async with running(store, SCANNING):
        jobs = [await insert(store, "scanning", params=params) for params, _ in BAD]
        good = await insert(store, "scanning", params={"scan": {"dpi": 300}})
        assert (await until(store, good)).state == "succeeded"
        for job, (_, words) in zip(jobs, BAD, strict=True):
            view = await until(store, job)
            assert view.state == "failed"
            assert view.error is not None
            assert view.error.type == "InvalidParams"
            assert words in view.error.message
    assert await store.db["tasks"].count_documents({"job": {"$in": jobs}}) == 0
    assert await violations(store) == {}


async def test_a_cancelled_job_is_no_stray_any_more(store: Store) -> None:
    async with running(store, OTHER, LATER):
        job = await submit(Client(store), "counting")
        await Client(store).cancel(job.id)
    assert await store.strays.mark({"other": {1}}, timedelta(0)) == 0
