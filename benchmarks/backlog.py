"""Whether a long queue slows anything down: claims, a worker's start, its memory."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from statistics import median

import anyio

from benchmarks.databases import database
from benchmarks.figure import Figure
from benchmarks.filling import fill_ready, fill_submitted
from benchmarks.ground import NOOP, Form, fresh_store
from benchmarks.profiler import Entry, profiled
from benchmarks.worker_process import WorkerProcess, worker_process
from pipeline import transitions
from pipeline.model import queue_name
from pipeline.store import Store
from pipeline.store.commits import Commits
from pipeline.store.tasks import Tasks

FEW = 1_000
CLAIMED = 4
"""Tasks of one claim: a worker's slots."""
PROFILED = 20
"""Claims that the profiler looks at."""
SLOWER = 1.3
"""The most that a thousand times as long a queue may cost."""
LEASE = timedelta(minutes=1)
QUEUES = [queue_name(NOOP.name, NOOP.version, stage.name) for stage in NOOP.stages]
_ENDED = {"tenant": "default", "state": "succeeded"}
_LOOK_AGAIN = 0.02


async def measure(form: Form) -> list[Figure]:
    """Measure with a thousand, and with a million."""
    many = form.size(1_000_000, 50_000)
    async with fresh_store() as store:
        return [*await _ready(store, many, form), *await _submitted(store, many, form)]


async def _ready(store: Store, many: int, form: Form) -> list[Figure]:
    """Claim ready tasks by the engine's own claim, from a short queue and a long one in turn."""
    async with AsyncExitStack() as stack:
        short = await stack.enter_async_context(database(store, "ready_few"))
        long = await stack.enter_async_context(database(store, "ready_many"))
        await fill_ready(short, FEW)
        await fill_ready(long, many)
        queues = [await stack.enter_async_context(_Queue(each)) for each in (short, long)]
        took: list[list[float]] = [[], []]
        for _ in range(form.size(300, 60)):
            for queue, times in zip(queues, took, strict=True):
                times.append(await queue.claim())
        async with profiled(long, {"planSummary": {"$exists": True}}) as entries:
            for _ in range(PROFILED):
                await queues[1].claim()
    note = f"{many:,} ready tasks; reference: {FEW:,}; the median of {len(took[0])} claims of {CLAIMED}"
    few, lots = (1000 * median(each) for each in took)
    return [Figure("backlog.claim", lots, "ms", few, SLOWER, "at most", note), *_plans(entries)]


class _Queue:
    """Ready tasks, which are given back as soon as they are claimed: the queue stays as long as it is."""

    def __init__(self, store: Store) -> None:
        self._tasks = Tasks(store.db)
        self._commits: Commits = store.commits()

    async def __aenter__(self) -> "_Queue":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._commits.close()

    async def claim(self) -> float:
        """Return the seconds that a claim took."""
        started = time.perf_counter()
        claimed = await self._tasks.claim(QUEUES, CLAIMED, "bench", LEASE)
        took = time.perf_counter() - started
        if len(claimed) != CLAIMED:
            raise RuntimeError(f"a claim from a long queue got {len(claimed)} of {CLAIMED} tasks")
        results = await self._commits.commit([transitions.interrupt(task) for task in claimed])
        if set(results) != {None}:
            raise RuntimeError(f"claimed tasks could not be given back: {results}")
        return took


def _plans(entries: Sequence[Entry]) -> list[Figure]:
    scans = [each for each in entries if "COLLSCAN" in each["planSummary"] or each.get("hasSortStage")]
    looked = sum(max(each["keysExamined"], each["docsExamined"]) for each in entries)
    found = sum(max(each.get("nreturned", 0), each.get("nMatched", 0)) for each in entries)
    plans = ", ".join(sorted({each["planSummary"].split("{")[0].strip() for each in entries}))
    return [
        Figure(
            "backlog.scans",
            len(scans),
            "commands",
            target=0,
            bound="at most",
            note=f"collection scans, or sorts in memory, of {len(entries)} commands by the profiler: {plans}",
        ),
        Figure(
            "backlog.examined",
            looked / max(1, found),
            "keys",
            target=2,
            bound="at most",
            note="index keys looked at for each document found",
        ),
    ]


async def _submitted(store: Store, many: int, form: Form) -> list[Figure]:
    """Start a real worker on submitted jobs: how long until it has done one, and how large it gets."""
    firsts, sizes = [], []
    seconds = form.size(10, 2)
    for name, count in (("few", FEW), ("many", many)):
        async with database(store, f"submitted_{name}") as filled:
            await fill_submitted(filled, count)
            first, size = await _start(filled, seconds)
            firsts.append(first)
            sizes.append(size / 1024**2)
    note = f"{many:,} submitted jobs; reference: {FEW:,}"
    return [
        Figure(
            "backlog.first_end",
            1000 * firsts[1],
            "ms",
            1000 * firsts[0],
            SLOWER,
            "at most",
            f"from a worker process's start to the first job's end, with {note}",
        ),
        Figure(
            "backlog.memory",
            sizes[1],
            "MiB",
            sizes[0],
            SLOWER,
            "at most",
            f"the most that the worker had resident in its first {seconds} s, with {note}",
        ),
    ]


async def _start(store: Store, seconds: float) -> tuple[float, int]:
    """Return after how many seconds a job had ended, and the worker's largest size until `seconds` later."""
    began, first, size = time.monotonic(), None, 0
    async with worker_process(store, "starting") as worker:
        with anyio.fail_after(120):
            while first is None or time.monotonic() - began < first + seconds:
                size = max(size, _size(worker))
                if first is None and await store.db["jobs"].find_one(_ENDED) is not None:
                    first = time.monotonic() - began
                await anyio.sleep(_LOOK_AGAIN)
    return first, size


def _size(worker: WorkerProcess) -> int:
    if worker.process.returncode is not None:
        raise RuntimeError(f"the worker ended with code {worker.process.returncode}")
    return worker.resident_bytes()
