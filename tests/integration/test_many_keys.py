"""Limits on more keys than one look takes in: everything begins, and no claim asks for too many of one."""

from dataclasses import replace
from datetime import timedelta

import anyio
from pydantic import BaseModel

from pipeline import Document, Pipeline, StageContext, stage
from pipeline.candidate import Candidate
from pipeline.client import Client
from pipeline.gates import MOST_PONDS, Gates
from pipeline.hosted import Hosted
from pipeline.limit import TASKS, Limit, Rate
from pipeline.model import queue_name
from pipeline.operator import Operator
from pipeline.rationing import Rationing
from pipeline.settings import WorkerSettings
from pipeline.store import Store
from tests.records import committing, violations
from tests.support import Text, running, submit, until

UNDISTURBED = timedelta(hours=1)
"""No reconciliation finds what no event has told of."""


class Params(BaseModel):
    account: str = ""


@stage(name="work", key="account/{account}")
async def work(document: Document, context: StageContext, params: Params) -> Text:
    await anyio.sleep(0.02)  # long enough that others of its account meet it
    return Text(text=params.account)


KEYED = Pipeline("keyed", [work])


async def test_all_of_many_limited_keys_begins_without_reconciliation(store: Store) -> None:
    client, operator = Client(store), Operator(store)
    await store.pipelines.register([KEYED])
    await operator.limit("key:account/*", 1)
    async with running(store, KEYED, WorkerSettings(slots=32, reconciliation=UNDISTURBED)) as worker:
        await operator.pause("stage:keyed/work")
        await worker.gates.known("stage:keyed/work", closed=True)
        jobs = [
            (await submit(client, "keyed", params={"work": {"account": str(number)}})).id
            for number in range(2 * MOST_PONDS)
            for _ in range(3)
        ]
        await operator.resume("stage:keyed/work")
        for job in jobs:
            assert (await until(store, job)).state == "succeeded"
    assert await violations(store) == {}


async def test_one_claim_asks_for_no_more_of_a_subject_than_may_run(store: Store) -> None:
    queue = queue_name("keyed", 1, "work")
    gates, hosted = Gates("one", [queue]), Hosted([KEYED])
    gates.limit("key:account/*", Limit(2))
    gates.limit("stage:keyed/work", Limit(rates={TASKS: Rate(5, 60.0)}))
    tasks = [
        Candidate(
            {"_id": f"{number}:work:1", "key": f"account/{account}"}, f"default.{number}", queue, 0, True
        )
        for number, account in enumerate("aaaabaacb")
    ]
    jobs = [replace(each, ready=False) for each in tasks[:3]]  # whose keys aren't known before they are tasks
    async with committing(store) as commits:
        rationing = Rationing(
            tasks=store.tasks,
            ponds=store.ponds,
            permits=store.permits(commits),
            refills=store.refills,
            gates=gates,
            hosted=hosted,
            worker="one",
            lease_for=timedelta(seconds=30),
        )
        kept = rationing.bounded([*tasks, *jobs])
    assert kept == [*(tasks[number] for number in (0, 1, 4, 7, 8)), *jobs]
