"""A benchmark that measures nothing, at once: what the runner makes of it is looked at."""

from benchmarks.figure import Figure, Measured, Series
from benchmarks.ground import Form


async def measure(form: Form) -> Measured:
    return [
        Figure("tiny.fast", form.size(900, 90), "chains/s", reference=100.0, target=0.5, note="of [nothing]"),
        Figure("tiny.slow", 3.0, "ms", target=2.0, bound="at most"),
        Figure("tiny.told", 1.0, "MiB"),
        Series("workers", "Millrace", [1.0, 1.9, 3.1], [1, 2, 4]),
        Series("latency", "bare", [1.0, 2.0, 4.0]),
    ]
