"""What progress costs: a hundred tasks on one worker tell how far they are, a hundred times a second each.

Write commands are counted by mongod itself, all that there are: renewals, signs of life and the position of
the change stream too. How often the tasks really reported is in the note: every report counts its task's
progress up by one.
"""

from collections import Counter
from itertools import count

import anyio
from pydantic import BaseModel

from benchmarks.counters import Counters, counters
from benchmarks.figure import Figure
from benchmarks.ground import Form, fresh_store, verify
from benchmarks.worker_process import until_registered, worker_process
from pipeline import Document, Pipeline, StageContext, stage
from pipeline.store import Store
from pipeline.submission import job_document

TASKS, REPORTS_PER_SECOND = 100, 100
_MOST = 4.0
"""Write commands a second."""
_NAME = "benchmarks.progress:REPORTING"
_WRITES = ("insert", "update", "delete", "findAndModify", "bulkWrite", "commitTransaction")


class Reported(BaseModel):
    """The output of a stage that never gives one."""


@stage(name="report")
async def report(document: Document, context: StageContext) -> Reported:
    """Report progress at an even pace until the worker stops."""
    began = anyio.current_time()
    for number in count(1):
        context.progress(number, unit="step")
        await anyio.sleep_until(began + number / REPORTS_PER_SECOND)
    raise AssertionError("counting has no end")


REPORTING = Pipeline("reporting", [report])


async def measure(form: Form) -> list[Figure]:
    """Count a worker's writes while a hundred tasks report."""
    seconds = float(form.size(60, 5))
    async with (
        fresh_store() as store,
        worker_process(
            store, "reporter", "--slots", str(TASKS), pipeline=_NAME, MILLRACE_WORKER_GRACE="0"
        ) as worker,
    ):
        await until_registered(store, worker)
        await _all_report(store)
        before, reports, used = await counters(store), await _reports(store), worker.cpu_seconds()
        await anyio.sleep(seconds)
        used, reports = worker.cpu_seconds() - used, await _reports(store) - reports
        writes = _writes((await counters(store)).since(before))
        await verify(store)
    told = (
        f"{TASKS} tasks, {reports / seconds:,.0f} reports/s in all; in {seconds:g} s: "
        + ", ".join(f"{number} {name}" for name, number in writes.items())
        + f"; the worker at {100 * used / seconds:.0f} % of a core"
    )
    cost = writes.total() / seconds
    return [Figure("progress.writes", cost, "commands/s", target=_MOST, bound="at most", note=told)]


async def _all_report(store: Store) -> None:
    """Submit the jobs, and wait until the progress of each of their tasks has been written."""
    jobs = [job_document(REPORTING.name, name="x.txt", content=b"hi") for _ in range(TASKS)]
    async with await store.db["tasks"].watch() as changes:
        await store.db["jobs"].insert_many(jobs)
        with anyio.fail_after(60):
            while await store.db["tasks"].count_documents({"progress.done": {"$gt": 0}}) < TASKS:
                await changes.next()


async def _reports(store: Store) -> int:
    return sum(
        [int(task["progress"]["done"]) async for task in store.db["tasks"].find({"progress": {"$ne": None}})]
    )


def _writes(counted: Counters) -> Counter[str]:
    return Counter({name: counted.commands[name] for name in _WRITES if counted.commands[name]})
