"""A thousand clients of event streams on one API process: how long an event takes to reach them.

A worker holds a hundred jobs. 950 of the clients watch one job each, 50 watch everything. Every 50 ms five of
the tasks get new progress, in one command, as a worker writes it: 100 events a second, of which each goes to
some 60 clients. Its time runs from right before that command is sent, so that the write and its majority are
part of it, to the arrival of the event's bytes at a client, in another process, by the machine's one clock.
Every arrival counts, and none may be missing.
"""

import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import quantiles
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import BaseModel
from pymongo import UpdateOne
from pymongo.read_concern import ReadConcern

from benchmarks.figure import Figure
from benchmarks.ground import Form, fresh_store, verify
from benchmarks.server_process import ServerProcess, serving
from benchmarks.watching_clients import microseconds
from benchmarks.worker_process import worker_process
from pipeline import Document, Pipeline, StageContext, stage
from pipeline.store import Store
from pipeline.submission import job_document
from pipeline.tether import tethered

CLIENTS, OF_EVERYTHING, JOBS = 1_000, 50, 100
BURST, BURSTS_PER_SECOND = 5, 20
_MAX_ANSWER = 200_000_000
_NAME = "benchmarks.watchers:HOLDING"
_WARM_SECONDS, _CONNECT_SECONDS = 2.0, 60.0
_MOST = 100.0
"""Milliseconds."""


class Held(BaseModel):
    """The output of a stage that never gives one."""


@stage(name="hold")
async def hold(document: Document, context: StageContext) -> Held:
    """Hold the task until the worker stops."""
    await anyio.sleep_forever()
    return Held()


HOLDING = Pipeline("holding", [hold])


@dataclass(frozen=True, slots=True)
class _Watched:
    """What was measured."""

    milliseconds: list[float]
    streams: int
    cpu_share: float


async def measure(form: Form) -> list[Figure]:
    """Let a thousand clients watch what is written for some seconds."""
    seconds = float(form.size(30, 5))
    async with fresh_store() as store:
        environment = {"MILLRACE_WORKER_LISTEN": "false", "MILLRACE_WORKER_GRACE": "0"}
        async with (
            worker_process(store, "holder", "--slots", str(JOBS), pipeline=_NAME, **environment),
            serving("api", "api", "--pipeline", _NAME, store=store, database=store.settings.database) as api,
        ):
            jobs = await _held_jobs(store)
            watched = await _watch(store, api, jobs, seconds)
        await verify(store)
    return _figures(watched)


async def _held_jobs(store: Store) -> list[str]:
    """Submit jobs, and wait until the worker holds them all."""
    jobs = [job_document(HOLDING.name, name="x.txt", content=b"hi") for _ in range(JOBS)]
    await store.db["jobs"].insert_many(jobs)
    with anyio.fail_after(60):
        async with await store.db["tasks"].watch() as changes:
            while await store.db["tasks"].count_documents({"state": "running"}) < JOBS:
                await changes.next()
    return [job["_id"] for job in jobs]


async def _watch(store: Store, api: ServerProcess, jobs: list[str], seconds: float) -> _Watched:
    of_jobs = [jobs[number % JOBS] for number in range(CLIENTS - OF_EVERYTHING)]
    paths = [f"/v1/jobs/{job}/events" for job in of_jobs] + ["/v1/events"] * OF_EVERYTHING
    async with _clients(api.port, paths) as clients:
        await _write(store, jobs, _WARM_SECONDS, stamped=False)
        used = api.cpu_seconds()
        written = await _write(store, jobs, seconds, stamped=True)
        used, streams = api.cpu_seconds() - used, await _open_streams(store)
        expected = sum(of_jobs.count(job) + OF_EVERYTHING for job in written)
        heard = await clients.heard(expected)
    if heard["lost"] or len(heard["milliseconds"]) != expected:
        told = f"{len(heard['milliseconds'])} of {expected} arrived, {heard['lost']} connections ended"
        raise RuntimeError(f"the clients were not told everything: {told}")
    return _Watched(heard["milliseconds"], streams, used / seconds)


async def _write(store: Store, jobs: list[str], seconds: float, *, stamped: bool) -> list[str]:
    """Write progress at an even pace; returns the job of every event."""
    written: list[str] = []
    began, tasks = anyio.current_time(), store.db["tasks"]
    for burst in range(int(seconds * BURSTS_PER_SECOND)):
        await anyio.sleep_until(began + burst / BURSTS_PER_SECOND)
        chosen = random.sample(jobs, BURST)
        done = microseconds() if stamped else burst + 1
        progress = {"done": done, "total": None, "unit": "page"}
        updates = [UpdateOne({"job": job}, {"$set": {"progress": progress}}) for job in chosen]
        await tasks.bulk_write(updates, ordered=False)
        written += chosen
    return written


@dataclass(frozen=True, slots=True)
class _Clients:
    """The process of the clients."""

    process: Process
    answers: BufferedByteReceiveStream

    async def heard(self, arrivals: int) -> dict[str, Any]:
        """Return what they heard, once that many events have arrived."""
        assert self.process.stdin is not None  # noqa: S101 -- a pipe
        await self.process.stdin.send(f"{arrivals}\n".encode())
        heard: dict[str, Any] = json.loads(await self.answers.receive_until(b"\n", _MAX_ANSWER))
        return heard


@asynccontextmanager
async def _clients(port: int, paths: list[str]) -> AsyncIterator[_Clients]:
    command = [sys.executable, "-m", "benchmarks.watching_clients", "--port", str(port)]
    process = await anyio.open_process(tethered(command), stdin=PIPE, stdout=PIPE, stderr=None)
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 -- pipes
    try:
        await process.stdin.send(json.dumps(paths).encode() + b"\n")
        answers = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(_CONNECT_SECONDS):
            await answers.receive_until(b"\n", 100)
        yield _Clients(process, answers)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def _open_streams(store: Store) -> int:
    """Count the change streams that are open on mongod; the worker has none."""
    stages: list[dict[str, Any]] = [
        {"$currentOp": {"idleCursors": True, "allUsers": True}},
        {"$match": {"cursor.tailable": True}},
    ]
    admin = store.db.client.admin.with_options(read_concern=ReadConcern("local"))
    return len([each async for each in await admin.aggregate(stages)])


def _figures(watched: _Watched) -> list[Figure]:
    percentiles = quantiles(watched.milliseconds, n=100)
    told = (
        f"{CLIENTS} clients, {OF_EVERYTHING} of them of everything; {BURST * BURSTS_PER_SECOND} events/s; "
        f"{len(watched.milliseconds)} arrivals; API process at {100 * watched.cpu_share:.0f} % of a core"
    )
    return [
        Figure("watchers.p99", percentiles[98], "ms", target=_MOST, bound="at most", note=told),
        Figure("watchers.p50", percentiles[49], "ms"),
        Figure(
            "watchers.change_streams",
            watched.streams,
            "streams",
            target=1,
            bound="at most",
            note="open on mongod while all clients watch, by $currentOp",
        ),
    ]
