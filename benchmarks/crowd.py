"""Many idle workers in one process, each with its own connection: `python -m benchmarks.crowd 16 NAME`."""

import os
import signal
import sys

import anyio
from anyio.abc import TaskStatus
from pydantic import SecretStr

from benchmarks.ground import NOOP
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.worker import Worker


async def crowd(count: int, name: str) -> None:
    """Run workers until SIGTERM."""
    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            workers = [await group.start(_one, f"{name}-{number}") for number in range(count)]
            async for _ in signals:
                break
        for worker in workers:
            worker.stop(now=True)


async def _one(name: str, *, task_status: TaskStatus[Worker]) -> None:
    settings = StoreSettings()
    uri = f"{os.environ['MILLRACE_MONGODB_URI']}&appName={name}"
    async with Store(settings.model_copy(update={"mongodb_uri": SecretStr(uri)})) as store:
        worker = Worker(store, [NOOP], name=name)
        async with anyio.create_task_group() as group:
            await group.start(worker.run)
            task_status.started(worker)


if __name__ == "__main__":
    anyio.run(crowd, int(sys.argv[1]), sys.argv[2])
