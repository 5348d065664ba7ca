"""A benchmark that can't measure."""

from benchmarks.figure import Measured
from benchmarks.ground import Form


async def measure(form: Form) -> Measured:
    raise RuntimeError("a promise was broken")
