"""Whether a long queue slows anything down: claims, a worker's start, its memory."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
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
from pipeline.store.backlog import Backlog
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
_PLANNED = {"planSummary": {"$exists": True}}
_LOOK_AGAIN = 0.02


async def measure(form: Form) -> list[Figure]:
    """Measure with a thousand, and with a million."""
    many = form.size(1_000_000, 50_000)
    async with fresh_store() as store:
        figures, of_claims = await _ready(store, many, form)
        more, of_looks = await _submitted(store, many, form)
    return [*figures, *more, *_plans([*of_claims, *of_looks])]


async def _ready(store: Store, many: int, form: Form) -> tuple[list[Figure], list[Entry]]:
    """Claim ready tasks by the engine's own claim, from a short queue and from a long one."""
    async with AsyncExitStack() as stack:
        few, lots = [await stack.enter_async_context(database(store, name)) for name in ("few", "many")]
        await fill_ready(few, FEW)
        await fill_ready(lots, many)
        short, long = [await stack.enter_async_context(_Queue(each)) for each in (few, lots)]
        times = await _in_turn(short.claim, long.claim, form)
        async with profiled(lots, _PLANNED) as entries:
            for _ in range(PROFILED):
                await long.claim()
    note = f"{many:,} ready tasks; reference: {FEW:,}; a claim of {CLAIMED}, median of {_times(form)}"
    return [Figure("backlog.claim", times[1], "ms", times[0], SLOWER, "at most", note)], entries


async def _submitted(store: Store, many: int, form: Form) -> tuple[list[Figure], list[Entry]]:
    """Look for submitted jobs as workers do; then start a real worker on them."""
    async with AsyncExitStack() as stack:
        few, lots = [await stack.enter_async_context(database(store, name)) for name in ("few", "many")]
        await fill_submitted(few, FEW)
        await fill_submitted(lots, many)
        short, long = _Waiting(few), _Waiting(lots)
        times = await _in_turn(short.look, long.look, form)
        async with profiled(lots, _PLANNED) as entries:
            for _ in range(PROFILED):
                await long.look()
        seconds = form.size(10, 2)
        started_on_few, started_on_lots = await _start(few, seconds), await _start(lots, seconds)
    note = f"{many:,} submitted jobs; reference: {FEW:,}; the best {CLAIMED}, median of {_times(form)}"
    looks = Figure("backlog.look", times[1], "ms", times[0], SLOWER, "at most", note)
    return [looks, *_start_figures(started_on_few, started_on_lots, many, form)], entries


def _times(form: Form) -> int:
    return form.size(300, 60)


async def _in_turn(
    short: Callable[[], Awaitable[float]], long: Callable[[], Awaitable[float]], form: Form
) -> tuple[float, float]:
    """Do both again and again; return the median milliseconds of each."""
    both = [(await short(), await long()) for _ in range(_times(form))]
    return 1000 * median(each for each, _ in both), 1000 * median(each for _, each in both)


class _Waiting:
    """Submitted jobs, which are looked at."""

    def __init__(self, store: Store) -> None:
        self._backlog = Backlog(store.db, {NOOP.name: [NOOP.version]})

    async def look(self) -> float:
        """Return the seconds that it took to read the next ones."""
        started = time.perf_counter()
        found = await self._backlog.best(CLAIMED, None, whole=True)
        took = time.perf_counter() - started
        if len(found) != CLAIMED:
            raise RuntimeError(f"a look at a long backlog found {len(found)} of {CLAIMED} jobs")
        return took


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


def _start_figures(few: "_Started", lots: "_Started", many: int, form: Form) -> list[Figure]:
    note = f"{many:,} submitted jobs; reference: {FEW:,}"
    return [
        Figure(
            "backlog.first_end",
            lots.first_end,
            "s",
            few.first_end,
            SLOWER,
            "at most",
            f"from a worker process's start to the first job's end, with {note}",
        ),
        Figure(
            "backlog.memory",
            lots.mebibytes,
            "MiB",
            few.mebibytes,
            SLOWER,
            "at most",
            f"the most that it had resident until {form.size(10, 2)} s later, with {note}",
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Started:
    """A worker that was started on a backlog."""

    first_end: float
    """Seconds from its process's start to the first end of a job."""
    mebibytes: float
    """The most that it had resident."""


async def _start(store: Store, seconds: float) -> _Started:
    """Run a worker until `seconds` after the first end of a job."""
    began, first, size = time.monotonic(), None, 0
    async with worker_process(store, "starting") as worker:
        with anyio.fail_after(120):
            while first is None or time.monotonic() - began < first + seconds:
                size = max(size, _size(worker))
                if first is None and await store.db["jobs"].find_one(_ENDED) is not None:
                    first = time.monotonic() - began
                await anyio.sleep(_LOOK_AGAIN)
    return _Started(first, size / 1024**2)


def _size(worker: WorkerProcess) -> int:
    if worker.process.returncode is not None:
        raise RuntimeError(f"the worker ended with code {worker.process.returncode}")
    return worker.resident_bytes()
