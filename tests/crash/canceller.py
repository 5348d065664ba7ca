"""Cancels a job: `python -m tests.crash.canceller JOB`."""

import sys

import anyio

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store


async def cancel(job: str) -> None:
    async with Store(StoreSettings()) as store:
        await Client(store).cancel(job)


if __name__ == "__main__":
    anyio.run(cancel, sys.argv[1])
