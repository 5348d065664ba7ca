"""What a worker process and an API process cost while nothing is ready, running or due."""

import math

import anyio

from benchmarks.counters import Counters, counters
from benchmarks.figure import Figure
from benchmarks.ground import Form, fresh_store, verify
from benchmarks.server_process import serving
from benchmarks.worker_process import NOOP_NAME, until_registered, worker_process
from pipeline.settings import WorkerSettings

SETTLE = 3.0
"""Seconds after both processes are up, for what they do once when they start."""
FREE = {"hello", "isMaster", "getMore"}
"""The driver's monitoring, and the change streams' waiting reads."""
SIGNS = {"findAndModify", "update"}
"""A worker's sign of life, at every tick; a position of the change stream, once a minute."""
SAVES_A_MINUTE = 1
BUSIEST = 0.5
"""Percent of a core."""


async def measure(form: Form) -> list[Figure]:
    """Let both be idle for a minute."""
    seconds = form.size(60, 15)
    async with fresh_store() as store:
        async with (
            worker_process(store, "idle") as worker,
            serving(
                "api", "api", "--pipeline", NOOP_NAME, store=store, database=store.settings.database
            ) as api,
        ):
            await until_registered(store, worker)
            await anyio.sleep(SETTLE)
            before, busy = await counters(store), (worker.cpu_seconds(), api.cpu_seconds())
            await anyio.sleep(seconds)
            counted = (await counters(store)).since(before)
            used = worker.cpu_seconds() - busy[0], api.cpu_seconds() - busy[1]
        await verify(store)
    return [*_commands(counted, seconds), _busy("worker", used[0], seconds), _busy("api", used[1], seconds)]


def _commands(counted: Counters, seconds: float) -> list[Figure]:
    names = counted.commands
    told = ", ".join(f"{count} {name}" for name, count in names.most_common())
    other = {name: count for name, count in names.items() if name not in FREE | SIGNS}
    return [
        Figure(
            "idle.writes",
            sum(names[name] for name in SIGNS),
            "commands",
            target=_signs(seconds),
            bound="at most",
            note=f"one sign of life per tick, and positions; in {seconds:g} s: {told}",
        ),
        Figure(
            "idle.other_commands",
            sum(other.values()),
            "commands",
            target=0,
            bound="at most",
            note=", ".join(other) or "nothing but hello, getMore and those writes",
        ),
    ]


def _signs(seconds: float) -> int:
    """Return how many writes an idle worker may make: one per tick, and the position now and then."""
    tick = WorkerSettings().lease.total_seconds() / 4
    return math.ceil(seconds / tick) + math.ceil(seconds / 60) * SAVES_A_MINUTE


def _busy(who: str, used: float, seconds: float) -> Figure:
    return Figure(
        f"idle.{who}_cpu",
        100 * used / seconds,
        "% of a core",
        target=BUSIEST,
        bound="at most",
        note=f"{1000 * used:.0f} ms of processor time in {seconds:g} s",
    )
