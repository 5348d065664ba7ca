"""What two attempts ask for at the same moment is made once, whoever of them lives on."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from pipeline import Document, PermanentError, StageContext, run_stage, stage
from pipeline.client import Client
from pipeline.settings import StoreSettings
from pipeline.store import Store
from tests.crash.stalling import Stall, killed_at
from tests.integration.paying import PAYING, Use, document, told
from tests.llm_faults import ANSWER, FaultServer, fault_server, says
from tests.records import violations
from tests.support import Text, pipeline_of, running, submit, until

KEY = {"$input": "same"}
HOUR = timedelta(hours=1)


class Waiting(logging.Handler):
    """Notes that an attempt waits for what another makes."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "waits for what" in record.getMessage():
            self.seen.set()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    log, handler = logging.getLogger("millrace.memory"), Waiting()
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield handler
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


class Costly:
    """A stage that makes something costly once it may: the first fails when it is told to."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.begun, self.leave = anyio.Event(), anyio.Event()
        self.first_fails = False

    async def make(self, context: StageContext) -> str:
        self.made.append(context.job)
        self.begun.set()
        await self.leave.wait()
        if self.first_fails and len(self.made) == 1:
            raise PermanentError("as told")
        return f"made by {context.job}"

    async def ask(self, context: StageContext, *, fresh: bool = False) -> str:
        return await context.remember(KEY, lambda: self.make(context), str, lifetime=HOUR, fresh=fresh)


async def two_jobs(store: Store, costly: Costly, waiting: Waiting) -> list[str]:
    """Run two jobs of which the second asks while the first makes it; returns them when both have ended."""

    @stage(name="costly")
    async def asks(document: Document, context: StageContext) -> Text:
        return Text(text=await costly.ask(context))

    client = Client(store)
    async with running(store, pipeline_of(asks)):
        first = (await submit(client, "test")).id
        with anyio.fail_after(30):
            await costly.begun.wait()
            second = (await submit(client, "test")).id
            await waiting.seen.wait()
        costly.leave.set()
        for job in (first, second):
            await until(store, job)
    return [first, second]


async def test_what_another_job_makes_is_waited_for(store: Store, waiting: Waiting) -> None:
    costly = Costly()
    first, second = await two_jobs(store, costly, waiting)
    assert costly.made == [first]
    for job in (first, second):
        assert (await store.outputs.body(job, "costly", 1))["text"] == f"made by {first}"
    assert await store.db["memories"].count_documents({}) == 1
    assert await violations(store) == {}


async def test_what_another_job_has_failed_to_make_is_made_by_who_waits(
    store: Store, waiting: Waiting
) -> None:
    costly = Costly()
    costly.first_fails = True
    first, second = await two_jobs(store, costly, waiting)
    assert costly.made == [first, second]
    assert [(await Client(store).get(job)).state for job in (first, second)] == ["failed", "succeeded"]
    assert await store.db["memories"].count_documents({}) == 1


@pytest.mark.parametrize("where", ["in a worker", "in a trial"])
async def test_two_parts_of_one_attempt_make_it_once(store: Store, tmp_path: Path, where: str) -> None:
    """Also after one that was cancelled."""
    costly, texts = Costly(), list[str]()

    @stage(name="costly")
    async def asks(document: Document, context: StageContext) -> Text:
        async def part() -> None:
            texts.append(await costly.ask(context))

        async with anyio.create_task_group() as group:
            group.start_soon(part)
            await costly.begun.wait()
            group.cancel_scope.cancel()
        costly.leave.set()
        async with anyio.create_task_group() as group:
            group.start_soon(part)
            group.start_soon(part)
        return Text(text="")

    if where == "in a trial":
        file = tmp_path / "document.txt"
        file.write_text("one")
        await run_stage(asks, file)
    else:
        async with running(store, pipeline_of(asks)):
            job = await submit(Client(store), "test")
            assert (await until(store, job.id)).state == "succeeded"
    assert texts == [f"made by {costly.made[0]}"] * 2
    assert len(costly.made) == 2


async def test_an_endpoint_is_asked_once_by_two_jobs_of_the_same_text(
    store: Store, waiting: Waiting, use: Use
) -> None:
    class Late(Stall):
        def __init__(self) -> None:
            super().__init__()
            self.leave = anyio.Event()

        async def __call__(self, stream: anyio.abc.SocketStream) -> None:
            self.asked.set()
            await self.leave.wait()
            await says(ANSWER)(stream)

    client, late = Client(store), Late()
    async with fault_server(late, says(ANSWER)) as server:
        use(server)
        async with running(store, PAYING):
            jobs = [(await submit(client, "paying", document(1))).id]
            with anyio.fail_after(30):
                await late.asked.wait()
                jobs.append((await submit(client, "paying", document(1))).id)
                await waiting.seen.wait()
            late.leave.set()
            for job in jobs:
                assert (await until(store, job)).state == "succeeded"
        assert len(server.requests) == 1
    assert [(await client.usage(job=job)).total.requests for job in jobs] == [1, 0]


def environment(server: FaultServer) -> dict[str, str]:
    return {f"MILLRACE_LLM_{name.upper()}": value for name, value in told(server).items()}


async def test_who_dies_while_it_makes_it_is_replaced(
    store: Store, store_settings: StoreSettings, use: Use
) -> None:
    client, stall = Client(store), Stall()
    async with fault_server(stall, says(ANSWER)) as server:
        use(server)
        jobs = [(await submit(client, "paying", document(1))).id]
        await killed_at(stall, store, store_settings, "tests.integration.paying:PAYING", environment(server))
        assert await store.db["memories"].count_documents({"maker": {"$exists": True}}) == 1
        jobs.append((await submit(client, "paying", document(1))).id)
        async with running(store, PAYING):
            for job in jobs:
                assert (await until(store, job)).state == "succeeded"
        assert len(server.requests) == 2  # one of them by the dead
    assert await store.db["memories"].count_documents({"maker": {"$exists": True}}) == 0
    assert await violations(store) == {}
