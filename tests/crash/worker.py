"""A worker of `tests.crash.chain` that imports no more than it needs: `python -m tests.crash.worker NAME`."""

import sys

import anyio

from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.worker import Worker
from tests.crash.chain import CHAIN


async def work(name: str) -> None:
    async with Store(StoreSettings()) as store:
        await Worker(store, [CHAIN], name=name).run()


if __name__ == "__main__":
    anyio.run(work, sys.argv[1])
