"""Submissions that never end, as a client makes them that wants each of its documents done once."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx

from pipeline.settings import StoreSettings
from pipeline.store import Store
from pipeline.store.changes import FEED
from tests.integration.api_server import Api, serving
from tests.records import violations
from tests.support import worker_process


class Load:
    """Submits one document after the other, each with its key, until it is accepted."""

    def __init__(self, api: Api, size: int = 30) -> None:
        self._api = api
        self._size = size
        self._stopped = False
        self._number = 0
        self.accepted: dict[str, str] = {}
        """The job of each key for which 202 was received."""
        self.answers: Counter[int] = Counter()
        self.slowest = 0.0
        """Seconds that the slowest answer took."""
        self.odd: list[str] = []
        """Answers that a client could not act on."""
        self._answered = anyio.Condition()

    async def run(self) -> None:
        """Submit until stopped; several of these may run beside each other."""
        while not self._stopped:
            self._number += 1
            await self._submit(f"key-{self._number}")

    def stop(self) -> None:
        """Submit nothing new; what is under way is still tried until it is accepted."""
        self._stopped = True

    async def accepted_more(self, number: int = 20) -> None:
        """Wait until so many more documents were accepted."""
        wanted = len(self.accepted) + number
        await self._until(lambda: len(self.accepted) >= wanted)

    async def refused_more(self, number: int = 4) -> None:
        """Wait until so many more documents were refused with 503."""
        wanted = self.answers[503] + number
        await self._until(lambda: self.answers[503] >= wanted)

    async def _until(self, reached: Callable[[], bool]) -> None:
        with anyio.fail_after(60):
            async with self._answered:
                while not reached():
                    await self._answered.wait()

    async def _submit(self, key: str) -> None:
        document = f"the document of {key} ".encode()
        document += b"x" * (self._size - len(document))
        while key not in self.accepted:
            started = anyio.current_time()
            answer = await self._api.post(document, key=key)
            self.slowest = max(self.slowest, anyio.current_time() - started)
            async with self._answered:
                self._note(key, answer)
                self._answered.notify_all()
            if answer.status_code != 202:
                await anyio.sleep(float(answer.headers.get("Retry-After", 1)))

    def _note(self, key: str, answer: httpx.Response) -> None:
        self.answers[answer.status_code] += 1
        if answer.status_code == 202:
            self.accepted[key] = answer.json()["id"]
        elif answer.status_code != 503 or "Retry-After" not in answer.headers:
            self.odd.append(f"{answer.status_code}: {answer.text}")


async def drained(store: Store) -> None:
    """Wait, by change events, until every job has ended."""
    with anyio.fail_after(90):
        async with store.changes.open(FEED) as changes:
            while await store.db["jobs"].count_documents({"state": {"$in": ["submitted", "running"]}}):
                await changes.read()


async def jobs_by_key(store: Store) -> dict[str, tuple[str, str]]:
    """Return each key's job and the job's state; two jobs of one key are an error."""
    found: dict[str, tuple[str, str]] = {}
    async for job in store.db["jobs"].find({}, {"idempotency_key": 1, "state": 1}):
        assert job["idempotency_key"] not in found
        found[job["idempotency_key"]] = (job["_id"], job["state"])
    return found


@asynccontextmanager
async def loaded(store: Store, settings: StoreSettings, size: int = 30) -> AsyncIterator[Load]:
    """An API of these settings under load, and two workers; in the end all was accepted and has ended."""
    pipeline = "tests.support:COUNTING"
    async with (
        worker_process(store.settings, pipeline, MILLRACE_WORKER_LEASE="10"),
        worker_process(store.settings, pipeline, MILLRACE_WORKER_LEASE="10"),
        serving(settings) as api,
    ):
        load = Load(api, size)
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(load.run)
            try:
                yield load
            finally:
                load.stop()
        await drained(store)


async def settled(load: Load, store: Store) -> None:
    assert not load.odd
    assert set(load.answers) <= {202, 503}
    jobs = await jobs_by_key(store)
    assert jobs == {key: (job, "succeeded") for key, job in load.accepted.items()}
    assert await violations(store) == {}
