"""Stages that a job leaves out: run, shown, told of, tried again, verified and repaired without them."""

from typing import Any

import pytest
from pydantic import BaseModel

from pipeline import Document, StageContext, stage
from pipeline.client import Client
from pipeline.operator import Operator
from pipeline.stage import Pipeline
from pipeline.store import Store
from pipeline.submission import job_document
from tests.integration.api_server import serving
from tests.records import violations
from tests.support import Text, read, running, submit, until


class Loud(Text):
    pass


class Length(BaseModel):
    length: int


@stage(name="shout")
async def shout(text: Text, context: StageContext) -> Loud:
    return Loud(text=text.text.upper())


@stage(name="measure")
async def measure(text: Text, context: StageContext) -> Length:
    return Length(length=len(text.text))


@stage(name="size")
async def size(document: Document, context: StageContext) -> Length:
    return Length(length=document.size)


SKIPPING = Pipeline("skipping", [read, shout, measure, size])


def states(view: Any) -> dict[str, str]:
    return {each.name: each.state for each in view.stages}


async def test_a_stage_that_is_paused_is_not_begun_by_a_job_that_skips_all_before_it(store: Store) -> None:
    client, operator = Client(store), Operator(store)
    async with running(store, SKIPPING) as worker:
        await operator.pause("stage:skipping/size")
        await worker.gates.known("stage:skipping/size", closed=True)
        job = await submit(client, "skipping", skip=["read", "shout", "measure"])
        await until(store, job.id, ("running",))
        task = await store.db["tasks"].find_one({"job": job.id})
        assert task is not None
        assert task["state"] == "ready"
        await operator.resume("stage:skipping/size")
        assert (await until(store, job.id)).state == "succeeded"


@pytest.mark.parametrize("paused", ["read", "shout"])
async def test_a_job_does_not_wait_for_a_paused_stage_that_it_skips(store: Store, paused: str) -> None:
    client, operator = Client(store), Operator(store)
    async with running(store, SKIPPING) as worker:
        await operator.pause(f"stage:skipping/{paused}")
        await worker.gates.known(f"stage:skipping/{paused}", closed=True)
        waits = await submit(client, "skipping")
        job = await submit(client, "skipping", skip=["read", "shout", "measure"])
        assert (await until(store, job.id)).state == "succeeded"
        view = await client.get(waits.id)
        assert (view.state, view.stages[1].state) != ("succeeded", "succeeded")


@pytest.mark.parametrize("skip", [["shout", "size"], ["read", "shout", "measure"]])
async def test_what_is_left_runs_and_everything_is_shown(store: Store, skip: list[str]) -> None:
    client = Client(store)
    async with running(store, SKIPPING):
        job = await submit(client, "skipping", skip=skip)
        view = await until(store, job.id)
    assert view.state == "succeeded"
    done = dict.fromkeys(SKIPPING.names, "succeeded")
    assert states(view) == done | dict.fromkeys(skip, "skipped")
    assert await store.db["tasks"].count_documents({"job": job.id}) == 4 - len(skip)
    assert await violations(store) == {}


async def test_a_job_begins_where_its_first_stage_is_claimed(store: Store) -> None:
    """The worker that admits claims the pipeline's first stage alone, which this job skips."""
    async with running(store, SKIPPING, stages=["read"]):
        job = await submit(Client(store), "skipping", skip=["read", "shout", "measure"])
        await until(store, job.id, ("ready",), stage="size")
        async with running(store, SKIPPING, stages=["size"]):
            assert (await until(store, job.id)).state == "succeeded"


async def test_a_job_that_was_inserted_with_a_chain_that_breaks_fails(store: Store) -> None:
    job = job_document("skipping", name="a.txt", content=b"one", skip=["read"])
    await store.db["jobs"].insert_one(job)
    async with running(store, SKIPPING):
        view = await until(store, job["_id"])
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.type == "InvalidSkip"
    assert "'shout' comes first, so it must take a Document" in view.error.message
    assert {"I1", "I6"}.isdisjoint(await violations(store))


async def test_a_stage_that_asks_for_a_skipped_output_fails_at_once(store: Store) -> None:
    @stage(name="asking")
    async def asking(text: Text, context: StageContext) -> Length:
        return Length(length=len((await context.output(Loud)).text))

    async with running(store, Pipeline("asking", [read, shout, asking])):
        job = await submit(Client(store), "asking", skip=["shout"])
        view = await until(store, job.id)
    assert view.error is not None
    assert (view.error.type, view.stages[2].attempt) == ("NoOutput", 1)


async def test_a_stage_is_run_again_without_what_is_skipped(store: Store) -> None:
    client = Client(store)
    async with running(store, SKIPPING):
        job = (await submit(client, "skipping", skip=["shout"])).id
        await until(store, job)
        view = await client.retry(job, "read")
        assert states(view)["shout"] == "skipped"
        view = await until(store, job)
    assert (view.state, states(view)["shout"]) == ("succeeded", "skipped")
    assert await store.db["tasks"].count_documents({"job": job}) == 6
    assert await violations(store) == {}


@pytest.mark.parametrize("lost", [None, "measure"])
async def test_repairs_go_on_without_what_is_skipped(store: Store, lost: str | None) -> None:
    """Tasks of a stage and of those after it are gone, as by hand: the chain goes on from there."""
    client = Client(store)
    async with running(store, SKIPPING):
        job = (await submit(client, "skipping", skip=["shout"])).id
        await until(store, job)
    if lost is not None:
        names = SKIPPING.names[SKIPPING.names.index(lost) :]
        for collection in ("tasks", "outputs"):
            await store.db[collection].delete_many({"job": job, "stage": {"$in": names}})
    await store.db["jobs"].update_one({"_id": job}, {"$set": {"state": "running", "finished_at": None}})
    assert "I1" in await violations(store)
    await store.repair()
    async with running(store, SKIPPING):
        view = await until(store, job)
    assert (view.state, states(view)["shout"]) == ("succeeded", "skipped")
    assert await violations(store) == {}


async def test_the_api_takes_skips_and_refuses_those_that_cannot_be(store: Store) -> None:
    async with running(store, SKIPPING), serving(store.settings, (SKIPPING,)) as served:
        for skip, reason in (("read", "must take a Document"), ("dance", "it has: read, shout")):
            refused = await served.post(pipeline="skipping", skip=skip)
            assert refused.status_code == 422
            assert reason in refused.json()["detail"]
        job = await served.submit(pipeline="skipping", skip="shout, size")
        assert {each["name"]: each["state"] for each in job["stages"]}["shout"] == "skipped"
        told = await served.ended(job["id"])
        shown = {
            each["name"]: each["state"] for each in (await served.get(f"/v1/jobs/{job['id']}"))["stages"]
        }
    assert shown == {"read": "succeeded", "shout": "skipped", "measure": "succeeded", "size": "skipped"}
    for event in told:
        if event.event == "job":
            skipped = {each["name"] for each in event.data["stages"] if each["state"] == "skipped"}
            assert skipped == {"shout", "size"}
        if event.event == "stage":
            assert event.data["name"] not in ("shout", "size")
