"""Submits one document to the pipeline `chain`, under a key: `python -m tests.crash.submitter KEY FILE`."""

import sys
from pathlib import Path

import anyio

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store


async def submit(key: str, path: Path) -> None:
    async with Store(StoreSettings()) as store:
        await Client(store).submit_file(path, "chain", idempotency_key=key)


if __name__ == "__main__":
    anyio.run(submit, sys.argv[1], Path(sys.argv[2]))
