"""Submissions a second through `POST /v1/jobs`, beside the least that a FastAPI route has to do.

One API process under uvicorn, clients that keep their connections; documents small enough to travel inside
the job, and of 1 MiB, which go to GridFS. The reference is `bare_submissions.py`. Both servers are up, each
with a mongod of its own, and are asked in short turns; the cores are shared with mongod and the clients.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.figure import Figure
from benchmarks.ground import NOOP, PIPELINE, Form, fresh_store, verify
from benchmarks.http_load import load, multipart
from benchmarks.server_process import ServerProcess, serving
from pipeline.store import Store

_TARGET = 0.7


@dataclass(frozen=True, slots=True)
class _Kind:
    """Documents of one size."""

    name: str
    size: int
    clients: int
    note: str


_KINDS = [
    _Kind("inline", 2_000, 16, "2 kB, inside the job"),
    _Kind("gridfs", 2**20, 8, "1 MiB, in GridFS"),
]


async def measure(form: Form) -> list[Figure]:
    """Let clients submit to each server in short turns; the medians of the turns count."""
    turns, seconds = form.size(15, 5), form.size(20, 5) / 10
    async with (
        _served("api", "api", "--pipeline", "benchmarks.ground:NOOP") as (store, mine),
        _served("benchmarks.bare_submissions") as (_, other),
    ):
        rates = [await _rates(kind, mine.port, other.port, turns, seconds) for kind in _KINDS]
        await verify(store)
    return [_figure(kind, mine, bare) for kind, (mine, bare) in zip(_KINDS, rates, strict=True)]


@asynccontextmanager
async def _served(module: str, *words: str) -> AsyncIterator[tuple[Store, ServerProcess]]:
    """Run a server with a mongod of its own, to which the other's change stream costs nothing."""
    async with fresh_store() as store:
        await store.pipelines.register([NOOP])
        async with serving(module, *words, store=store, database=store.settings.database) as server:
            yield store, server


async def _rates(kind: _Kind, ours: int, bare: int, turns: int, seconds: float) -> tuple[float, float]:
    """Return the medians of both servers' submissions a second."""
    content = os.urandom(kind.size)
    requests = {
        port: multipart(path, content, {"pipeline": PIPELINE})
        for port, path in ((ours, "/v1/jobs"), (bare, "/jobs"))
    }
    counts: dict[int, list[int]] = {ours: [], bare: []}
    for turn in range(turns + 1):
        for port, request in requests.items():
            answered = await load(port, request, clients=kind.clients, seconds=seconds, expected=202)
            if turn:  # the first is for warming up
                counts[port].append(answered.count)
    return median(counts[ours]) / seconds, median(counts[bare]) / seconds


def _figure(kind: _Kind, ours: float, bare: float) -> Figure:
    return Figure(
        f"submissions.{kind.name}",
        ours,
        "submissions/s",
        reference=bare,
        target=_TARGET,
        note=f"{kind.note}; {kind.clients} clients; reference: a bare FastAPI route, the same writes",
    )
