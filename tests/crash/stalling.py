"""A worker that is killed while it waits for a model's answer."""

import anyio
from anyio.abc import SocketStream

from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.llm_faults import hangs
from tests.support import worker_process


class Stall:
    """An answer of the fault server that never comes."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def __call__(self, stream: SocketStream) -> None:
        self.asked.set()
        await hangs(stream)


async def killed_at(
    stall: Stall, store: Store, settings: StoreSettings, pipeline: str, environment: dict[str, str]
) -> None:
    """Run a worker until it waits for that answer, kill it, and give back what it held."""
    async with worker_process(settings, pipeline, "--name", "killed", **environment) as process:
        with anyio.fail_after(60):
            await stall.asked.wait()
        process.kill()
        await process.wait()
    await release_worker(store, "killed")
