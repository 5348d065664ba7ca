"""Versions of a pipeline: a job keeps its own, one worker may host several, and what is left is told."""

import anyio
import pytest

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.errors import DefinitionError
from pipeline.hosted import Hosted
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.submission import job_document
from pipeline.versions import VersionView, versions
from pipeline.worker import Worker
from tests.records import violations
from tests.support import COUNTING, Text, count, read, running, submit, until


@stage(name="read")
async def read_anew(document: Document, context: StageContext) -> Text:
    return Text(text="as of version two")


NEW = Pipeline("counting", [read_anew, count], version=2)


async def pinned(store: Store, version: int) -> str:
    job = {**job_document("counting", name="a", content=b"one"), "pipeline_version": version}
    await store.db["jobs"].insert_one(job)
    return str(job["_id"])


async def test_one_worker_hosts_two_versions_and_new_jobs_begin_in_the_newer(store: Store) -> None:
    client = Client(store)
    old = await pinned(store, 1)
    worker = Worker(store, [NEW, COUNTING])
    async with anyio.create_task_group() as group:
        await group.start(worker.run)
        new = (await submit(client, "counting", b"one")).id
        for job in (old, new):
            assert (await until(store, job)).state == "succeeded"
        heard = await pinned(store, 1)  # told of by its event
        assert (await until(store, heard)).state == "succeeded"
        worker.stop(now=True)
    views = {job: await client.get(job) for job in (old, new, heard)}
    assert {job: view.pipeline_version for job, view in views.items()} == {old: 1, new: 2, heard: 1}
    assert (await client.output(old, "count"), await client.output(new, "count")) == (
        {"words": 1},
        {"words": 4},
    )
    assert await violations(store) == {}


async def test_a_job_under_way_waits_for_a_worker_of_its_version(store: Store) -> None:
    client = Client(store)
    async with running(store, COUNTING, stages=["read"]):
        job = (await submit(client, "counting", b"one")).id
        await until(store, job, ("ready",), stage="count")
    async with running(store, NEW):
        other = (await submit(client, "counting", b"one")).id
        assert (await until(store, other)).pipeline_version == 2
        [new, old] = await versions(store, jobs=5)
        assert (new.version, new.newest, new.ready, len(new.workers)) == (2, True, 0, 1)
        assert old == VersionView(
            pipeline="counting",
            version=1,
            newest=False,
            submitted=0,
            ready=1,
            running=0,
            workers=[],
            jobs=[job],
        )
        waiting = await pinned(store, 1)
        assert (await versions(store))[1].submitted == 1
    async with running(store, COUNTING):
        for each in (job, waiting):
            view = await until(store, each)
            assert (view.state, view.pipeline_version) == ("succeeded", 1)
    assert (await client.retry(job, "read")).pipeline_version == 1


async def test_what_runs_is_counted(store: Store) -> None:
    gate = anyio.Event()

    @stage(name="read")
    async def held(document: Document, context: StageContext) -> Text:
        await gate.wait()
        return Text(text="")

    async with running(store, Pipeline("held", [held], version=7)):
        job = (await submit(Client(store), "held")).id
        await until(store, job, ("running",), stage="read")
        [told] = await versions(store, jobs=1)
        assert (told.running, told.ready, told.jobs) == (1, 0, [job])
        gate.set()
        await until(store, job)


def test_where_jobs_begin() -> None:
    hosted = Hosted([NEW, COUNTING], ["read"])
    assert hosted.beginning == {"counting": [1, 2]}
    assert hosted.beginner("counting", None) is NEW
    assert hosted.beginner("counting", 1.0) is COUNTING
    assert hosted.beginner("counting", 3) is None
    assert hosted.first_queue("counting", 2) == "counting@2/read"
    assert Hosted([NEW], ["count"]).first_queue("counting", None) is None
    with pytest.raises(DefinitionError, match="name and version"):
        Hosted([NEW, NEW])
    with pytest.raises(DefinitionError, match="dance"):
        Hosted([NEW], ["dance"])
    assert hosted["counting", 1].stages == (read, count)
