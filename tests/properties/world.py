"""The real thing under the model: a mongod with a clock that is set, and the engine's verbs over it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import SecretStr

from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.commits import Commits
from tests.clock import Clock, clocked_mongod, server_time

Doc = dict[str, Any]
T = TypeVar("T")
WORKERS = ("ann", "bob", "eve")
COLLECTIONS = ("jobs", "tasks", "outputs", "checkpoints")


@dataclass(frozen=True)
class Seen:
    """Everything in the database, by collection and id."""

    jobs: dict[str, Doc]
    tasks: dict[str, Doc]
    outputs: dict[str, Doc]
    checkpoints: dict[str, Doc]
    expired: set[str]


@dataclass
class World:
    store: Store
    clock: Clock
    portal: BlockingPortal
    commits: list[Commits]
    """A session of its own for each worker."""
    began: datetime = field(init=False)
    """The server's time at which the model's is 0."""
    advanced: int = 0
    """Seconds by which its clock was set forward since then."""

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do something on the loop that the database's client lives on."""
        return self.portal.call(call)

    async def clear(self) -> None:
        for name in COLLECTIONS:
            await self.store.db[name].delete_many({})
        self.began, self.advanced = await server_time(self.store.db), 0

    async def advance(self, seconds: int) -> None:
        await self.clock.advance(self.store.db, timedelta(seconds=seconds))
        self.advanced += seconds

    async def look(self) -> Seen:
        return Seen(
            jobs=await self._all("jobs"),
            tasks=await self._all("tasks"),
            outputs=await self._all("outputs"),
            checkpoints=await self._all("checkpoints"),
            expired={each["_id"] for each in await self.store.tasks.expired(1000)},
        )

    async def _all(self, collection: str) -> dict[str, Doc]:
        return {each["_id"]: each async for each in self.store.db[collection].find({})}


@contextmanager
def opened_world(folder: Path) -> Iterator[World]:
    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(clocked_mongod(folder)) as (mongod, clock):
            settings = StoreSettings(mongodb_uri=SecretStr(mongod.uri), database="properties")
            store = portal.call(_made, settings)
            with portal.wrap_async_context_manager(store):
                portal.call(store.install)
                commits = [portal.call(_session, store) for _ in WORKERS]
                yield World(store, clock, portal, commits)
                for each in commits:
                    portal.call(each.close)


async def _made(settings: StoreSettings) -> Store:
    """The driver's client belongs to the loop in which it is made."""
    return Store(settings)


async def _session(store: Store) -> Commits:
    return store.commits()
