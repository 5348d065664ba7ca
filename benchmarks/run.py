"""Run benchmarks one after the other; one that fails stops no other."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import anyio

from benchmarks.figure import Figure, Measured, Series
from benchmarks.ground import Form
from benchmarks.registry import LIMIT, Benchmark


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark gave."""

    benchmark: Benchmark
    seconds: float
    """How long it took, its mongod's start and the final verification included."""
    figures: list[Figure] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    error: Exception | None = None
    """Why there are no figures."""


def run(benchmarks: Iterable[Benchmark], form: Form, begin: Callable[[Benchmark], None]) -> Iterator[Result]:
    """Run each in an event loop of its own; `begin` is told before each."""
    for benchmark in benchmarks:
        begin(benchmark)
        started = time.monotonic()
        try:
            measured = anyio.run(partial(_measure, benchmark, form))
        except Exception as error:  # noqa: BLE001 -- the table tells of it, and the others still run
            yield Result(benchmark, time.monotonic() - started, error=error)
        else:
            figures = [each for each in measured if isinstance(each, Figure)]
            series = [each for each in measured if isinstance(each, Series)]
            yield Result(benchmark, time.monotonic() - started, figures, series)


async def _measure(benchmark: Benchmark, form: Form) -> Measured:
    limit = LIMIT * benchmark.budget(form)
    with anyio.move_on_after(limit):
        return await benchmark.load()(form)
    raise TimeoutError(f"{benchmark.name} took longer than {limit:g} s")
