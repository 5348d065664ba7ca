"""Submissions a second through `POST /v1/jobs`, beside the least that a FastAPI route has to do.

One API process under uvicorn, clients that keep their connections; documents small enough to travel inside
the job, and of 1 MiB, which go to GridFS. The reference is `bare_submissions.py`. Servers run one at a time,
in turns, and the machine's cores are shared with mongod and the clients.
"""

import os
from dataclasses import dataclass
from statistics import median

from benchmarks.figure import Figure
from benchmarks.ground import NOOP, PIPELINE, Form, fresh_store, verify
from benchmarks.http_load import load, multipart
from benchmarks.server_process import serving
from pipeline.settings import StoreSettings
from pipeline.store import Store

_TARGET = 0.7
_BARE = "bare"
_WARM_SECONDS = 0.5


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
    """Let clients submit to each server in turns; the medians of the turns count."""
    turns, seconds = form.size(3, 1), form.size(60, 15) / 10
    ours: dict[str, list[float]] = {kind.name: [] for kind in _KINDS}
    bare: dict[str, list[float]] = {kind.name: [] for kind in _KINDS}
    async with fresh_store() as store:
        await store.pipelines.register([NOOP])
        async with Store(_settings(store, _BARE)) as beside:
            await beside.install()
        for _ in range(turns):
            words = ("api", "--pipeline", "benchmarks.ground:NOOP")
            await _turn(ours, "api.cli", words, "/v1/jobs", store, store.settings.database, seconds)
            await _turn(bare, "benchmarks.bare_submissions", (), "/jobs", store, _BARE, seconds)
        await verify(store)
    return [_figure(kind, ours[kind.name], bare[kind.name]) for kind in _KINDS]


async def _turn(
    rates: dict[str, list[float]],
    module: str,
    words: tuple[str, ...],
    path: str,
    store: Store,
    database: str,
    seconds: float,
) -> None:
    async with serving(module, *words, store=store, database=database) as server:
        for kind in _KINDS:
            request = multipart(path, os.urandom(kind.size), {"pipeline": PIPELINE})
            await load(server.port, request, clients=kind.clients, seconds=_WARM_SECONDS, expected=202)
            answered = await load(server.port, request, clients=kind.clients, seconds=seconds, expected=202)
            rates[kind.name].append(answered.count / seconds)


def _settings(store: Store, database: str) -> StoreSettings:
    return store.settings.model_copy(update={"database": database})


def _figure(kind: _Kind, ours: list[float], bare: list[float]) -> Figure:
    return Figure(
        f"submissions.{kind.name}",
        median(ours),
        "submissions/s",
        reference=median(bare),
        target=_TARGET,
        note=f"{kind.note}; {kind.clients} clients; reference: a bare FastAPI route, the same writes",
    )
