"""A benchmark whose every target is reached."""

from benchmarks.figure import Figure, Measured
from benchmarks.ground import Form


async def measure(form: Form) -> Measured:
    return [Figure("fine.ratio", 3.0, "ms", reference=2.0, target=1.5, bound="at most")]
