"""What chaos is brought upon: a replica set, workers, APIs, and what is known of what was done to them."""

import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from pipeline.errors import StoreError
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.chaos.kept import Kept
from tests.chaos.papers import TRACE
from tests.replica_set import ReplicaSet, free_port, replica_set

_log = logging.getLogger("millrace.chaos")

LEASE = 10.0
SLOTS = 4
WORKERS, APIS = 3, 2
"""Of each kind the first is spared: its memory is watched over the whole time."""
STOPPED = (0, -signal.SIGTERM)
"""Exit codes of what was told to stop; the second while it was still starting."""
_PIPELINE = ("--pipeline", "tests.chaos.papers:PAPERS")


@dataclass(slots=True)
class Deeds:
    """What was done to processes, by their names."""

    killed: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    children_killed: int = 0
    odd: list[str] = field(default_factory=list)
    """What happened to processes that nobody had done anything to."""


@dataclass(slots=True)
class Town:
    """Everything that runs."""

    replicas: ReplicaSet
    store: Store
    folder: Path
    random: Random
    group: TaskGroup
    workers: list[Kept] = field(default_factory=list)
    apis: list[Kept] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    deeds: Deeds = field(default_factory=Deeds)

    @property
    def trace(self) -> Path:
        return self.folder / "trace"

    def victim(self) -> Kept:
        """Choose a worker that is not spared."""
        return self.random.choice(self.workers[1:])

    def populate(self) -> None:
        """Start workers and APIs."""
        uri = self.store.settings.mongodb_uri
        assert uri is not None
        own = {
            "MILLRACE_MONGODB_URI": uri.get_secret_value(),
            "MILLRACE_DATABASE": self.store.settings.database,
            "MILLRACE_WORKER_LEASE": str(LEASE),
            "MILLRACE_WORKER_SLOTS": str(SLOTS),
            "MILLRACE_WORKER_GRACE": "0.2",
            "MILLRACE_WORKER_PROCESSES": "1",
            TRACE: str(self.trace),
        }
        for number in range(WORKERS):
            self.workers.append(Kept(f"worker-{number}", _worker, own, self.folder, self._worker_ended))
        for number in range(APIS):
            port = str(free_port())
            self.urls.append(f"http://127.0.0.1:{port}")
            self.apis.append(Kept(f"api-{number}", _api(port), own, self.folder, self._api_ended))
        for each in (*self.workers, *self.apis):
            self.group.start_soon(each.run)

    async def settle(self) -> None:
        """End what was done: nobody is paused any more, every member serves."""
        for each in (*self.workers, *self.apis):
            each.signal(signal.SIGCONT)
        with anyio.fail_after(120):
            await self.replicas.primary()
            for member in self.replicas.members:
                await member.synced()

    async def close(self) -> None:
        """Stop every process; each has to end by itself, with 0."""
        async with anyio.create_task_group() as stopping:
            for each in (*self.workers, *self.apis):
                stopping.start_soon(self._stop, each)

    async def _stop(self, each: Kept) -> None:
        code = await each.stop()
        if code not in STOPPED:
            self.deeds.odd.append(f"{each.name} ended with {code} when it was told to stop at the end")

    async def _worker_ended(self, name: str, code: int) -> None:
        killed, stopped = name in self.deeds.killed, name in self.deeds.stopped
        if not (killed and code == -signal.SIGKILL) and not (stopped and code in STOPPED):
            self.deeds.odd.append(f"{name} ended with {code}")
        if code != 0 and self.random.random() < 0.5:  # else its leases have to run out
            try:
                await release_worker(self.store, name)
            except StoreError as error:
                _log.info("the leases of %s have to run out: %s", name, error)

    async def _api_ended(self, name: str, code: int) -> None:
        if name not in self.deeds.killed:
            self.deeds.odd.append(f"{name} ended with {code}")


def _worker(name: str) -> list[str]:
    return [sys.executable, "-m", "api", "worker", *_PIPELINE, "--name", name]


def _api(port: str) -> Callable[[str], list[str]]:
    return lambda _: [sys.executable, "-m", "api", "api", "--port", port, *_PIPELINE]


@asynccontextmanager
async def town(folder: Path, random: Random, members: int) -> AsyncIterator[Town]:
    """Start everything; at the end of the block everything has ended."""
    async with replica_set(folder / "set", members=members) as replicas:
        settings = StoreSettings(mongodb_uri=SecretStr(replicas.uri), database="chaos")
        async with Store(settings) as store, anyio.create_task_group() as group:
            await store.install()
            running = Town(replicas, store, folder, random, group)
            running.populate()
            yield running
            group.cancel_scope.cancel()
