"""A benchmark that never ends."""

import anyio

from benchmarks.figure import Measured
from benchmarks.ground import Form


async def measure(form: Form) -> Measured:
    await anyio.sleep_forever()
    raise AssertionError("not reached")
