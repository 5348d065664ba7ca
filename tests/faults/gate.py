"""A page at which attempts in worker processes stand still, in the middle of their work."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process

from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from tests.crash.pages import TRACE
from tests.support import submit, worker_process

PAGES = 6
"""Of each document."""
PAGE = 4
"""At which attempts are held, with three pages saved."""


class Gate:
    """Shut when made; see `tests.crash.pages` for what stands before it."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "trace"
        self._path = folder / f"gate-{PAGE}"
        os.mkfifo(self._path)
        self._held: int | None = os.open(self._path, os.O_RDWR)

    def remove(self) -> None:
        """Nobody who comes from now on is held; those who stand there still are."""
        opened = self._path.with_name("open")
        opened.touch()
        opened.replace(self._path)

    def open(self) -> None:
        """Let everybody through."""
        self.remove()
        self.close()

    def close(self) -> None:
        """Give the file back, which lets those through who stand there."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def ran(self) -> list[int]:
        """Return the pages that were begun, in this order, of all documents."""
        return [int(line) for line in self.trace.read_text().split()] if self.trace.exists() else []

    def worker(
        self, settings: StoreSettings, name: str, *, inside: tuple[str, ...] = (), **environment: str
    ) -> AbstractAsyncContextManager[Process]:
        """A worker process of the pipeline whose pages are traced, with slots for two documents."""
        environment |= {TRACE: str(self.trace), "MILLRACE_WORKER_PROCESSES": "2"}
        options = ("--name", name, "--slots", "2")
        return worker_process(settings, "tests.crash.pages:PAGES", *options, inside=inside, **environment)

    async def held(self, store: Store, count: int) -> list[str]:
        """Submit documents and wait until all of them stand here; returns their jobs."""
        async with store.changes.open(FEED) as changes:
            jobs = [(await submit(Client(store), "pages")).id for _ in range(count)]
            saved = (PAGE - 1) * count
            with anyio.fail_after(60):
                while (
                    self.ran().count(PAGE) < count
                    or await store.db["checkpoints"].count_documents({"job": {"$in": jobs}}) < saved
                ):
                    await changes.read()
        return jobs


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Gate]:
    made = Gate(folder)
    try:
        yield made
    finally:
        made.close()
