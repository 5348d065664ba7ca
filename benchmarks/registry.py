"""Which benchmarks there are, and how long each may take."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.figure import Measured
from benchmarks.ground import Form

Measure = Callable[[Form], Awaitable[Measured]]

LIMIT = 4
"""A benchmark is ended after this many times its budget: on a busy machine all are slower."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module with `async def measure(form: Form) -> Measured`."""

    name: str
    what: str
    """What it shows, in a few words."""
    seconds: tuple[float, float] = (600, 60)
    """Its budget on the reference machine: in the whole form, and in the short one."""
    quick: bool = True
    """It belongs to the short run of all; otherwise its short form runs when it is named."""

    def budget(self, form: Form) -> float:
        """Return the seconds that this form should take."""
        whole, short = self.seconds
        return short if form.short else whole

    def load(self) -> Measure:
        """Import its module.

        Raises:
            ImportError: there is none, or it can't be imported.
        """
        module = import_module(self.name if "." in self.name else f"benchmarks.{self.name}")
        measure: Measure = module.measure
        return measure


BENCHMARKS = (
    Benchmark("throughput", "chains/s of one worker process", (120, 9)),
    Benchmark("latency", "submit → end of a job on an idle worker", (60, 7)),
    Benchmark("idle", "what a worker and an API process cost while there is nothing to do", (90, 22)),
    Benchmark("backlog", "claims and memory with a long queue", (420, 22)),
    Benchmark("workers", "1 to 16 worker processes on one queue", (180, 24)),
    Benchmark("held_back", "claims beside a long queue of what may not run", (360, 15), quick=False),
    Benchmark("fairness", "how long a small tenant waits beside a large one", (90, 20), quick=False),
    Benchmark("pauses", "how fast a pause is heeded by all workers", (60, 15), quick=False),
    Benchmark("releases", "two releases of a pipeline side by side", (60, 15), quick=False),
    Benchmark("resume", "back to work after kill -9", (120, 7)),
    Benchmark("submissions", "POST /v1/jobs", (60, 7)),
    Benchmark("watchers", "event streams over HTTP", (90, 8)),
    Benchmark("progress", "what progress reports cost", (60, 6)),
    Benchmark("real_work", "pages/s through OCR", (800, 8)),
)
"""In the order in which they run. The short budgets of the quick ones add up to two minutes."""


def chosen(names: list[str], form: Form) -> list[Benchmark]:
    """Return the benchmarks of these names, all of a form when there is none; a dotted name is a module.

    Raises:
        ValueError: there is none of a name; the message says which there are.
    """
    if not names:
        return [each for each in BENCHMARKS if each.quick or not form.short]
    known = {each.name: each for each in BENCHMARKS}
    unknown = [name for name in names if name not in known and "." not in name]
    if unknown:
        raise ValueError(f"no benchmark is named {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known.get(name) or Benchmark(name, name) for name in names]
