"""Several transactions of outcomes in flight at once: beside each other, and never over each other."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from pipeline import Document, Progress, StageContext, stage, transitions
from pipeline.client import Client
from pipeline.committer import MUCH, Committer
from pipeline.errors import Contended, MillraceError
from pipeline.model import Change
from pipeline.store import Store
from pipeline.store.commits import MAX_BATCH, Commits
from tests.records import MINUTE, claimed, committing, completion, stored, violations
from tests.support import Text, pipeline_of, running, submit, until


@asynccontextmanager
async def lanes(store: Store) -> AsyncIterator[list[Commits]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(committing(store)) for _ in range(3)]


@asynccontextmanager
async def locking(store: Store, task: str) -> AsyncIterator[anyio.Event]:
    """Another transaction, which has locked a task until the event is set."""
    unlock = anyio.Event()

    async with store.db.client.start_session() as session, anyio.create_task_group() as group:

        async def hold() -> None:
            await unlock.wait()
            await session.abort_transaction()

        await session.start_transaction()
        await store.db["tasks"].update_one({"_id": task}, {"$set": {"locked": True}}, session=session)
        group.start_soon(hold)
        try:
            yield unlock
        finally:
            unlock.set()


async def aborted(store: Store) -> int:
    """How many transactions this server has taken back."""
    status = await store.db.client.admin.command("serverStatus")
    return int(status["transactions"]["totalAborted"])


async def test_no_two_lanes_write_the_same_task(store: Store) -> None:
    count = MAX_BATCH + 2 * MUCH
    [task] = await claimed(store)
    progress = [Progress(n, count, "page") if n % 2 else None for n in range(count)]
    changes = [transitions.checkpoint(task, f"page-{n}", n, progress[n], MINUTE) for n in range(count)]
    before = await aborted(store)
    async with lanes(store) as three, anyio.create_task_group() as group:
        committer = Committer(*three)
        group.start_soon(committer.run)
        results, _ = await committer.commit_all(changes)
        committer.stop()
    assert results == [None] * count
    assert await aborted(store) == before
    assert await store.outputs.checkpoints(task.id) == {f"page-{n}": n for n in range(count)}
    assert (await stored(store, task.id))["progress"]["done"] == count - 1


async def test_what_is_locked_holds_up_its_own_lane_alone(store: Store) -> None:
    tasks = await claimed(store, MAX_BATCH + MUCH)
    changes = [await completion(store, task) for task in tasks]
    ended: list[str] = []
    beside = anyio.Event()

    async def commit(committer: Committer, name: str, some: Sequence[Change]) -> None:
        assert set((await committer.commit_all(some))[0]) == {None}
        ended.append(name)
        if name == "beside it":
            beside.set()

    async with locking(store, tasks[0].id) as unlock, lanes(store) as three:
        async with anyio.create_task_group() as group:
            committer = Committer(*three)
            group.start_soon(commit, committer, "beside it", changes[1:MAX_BATCH])
            group.start_soon(commit, committer, "locked", changes[:1])
            group.start_soon(commit, committer, "after it", changes[MAX_BATCH:])
            await anyio.wait_all_tasks_blocked()
            group.start_soon(committer.run)
            with anyio.fail_after(60):
                await beside.wait()
            unlock.set()
            committer.stop()
    assert ended == ["after it", "beside it", "locked"]
    assert await violations(store) == {}


class Telling(Commits):
    """Commits that tell when something stayed locked by another transaction."""

    contended: anyio.Event

    async def commit(self, changes: Sequence[Change]) -> list[MillraceError | None]:
        results = await super().commit(changes)
        if any(isinstance(result, Contended) for result in results):
            self.contended.set()
        return results


async def test_a_stop_waits_for_what_stayed_locked_whichever_lane_has_met_it(store: Store) -> None:
    tasks = await claimed(store, MAX_BATCH + MUCH)
    changes = [await completion(store, task) for task in tasks]
    results: list[MillraceError | None] = []

    async def commit(committer: Committer) -> None:
        results.extend((await committer.commit_all(changes))[0])

    async with locking(store, tasks[-1].id) as unlock, committing(store) as first:
        second = Telling(store.db.client, store.db, 20)
        second.contended = anyio.Event()
        async with anyio.create_task_group() as group:
            committer = Committer(first, second)
            group.start_soon(commit, committer)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(committer.run)
            committer.stop()
            with anyio.fail_after(60):
                await second.contended.wait()
            unlock.set()
        await second.close()
    assert results == [None] * len(changes)
    assert await violations(store) == {}


async def test_parts_that_are_saved_at_the_same_time_are_all_saved_once(store: Store) -> None:
    parts = list(range(200))

    @stage(name="pages")
    async def pages(document: Document, context: StageContext) -> Text:
        async def page(number: int) -> int:
            for _ in range(number % 7):  # so that some end while others are being saved
                await anyio.lowlevel.checkpoint()
            return number

        return Text(text=str(sum(await context.each(parts, page, int, unit="page", concurrency=32))))

    client, before = Client(store), await aborted(store)
    async with running(store, pipeline_of(pages)):
        job = await submit(client, "test")
        view = await until(store, job.id)
    assert (view.state, view.stages[0].attempt) == ("succeeded", 1)
    assert await client.output(job.id, "pages") == {"text": str(sum(parts))}
    saved = await store.db["checkpoints"].find({"job": job.id}).to_list()
    assert sorted(each["value"] for each in saved) == parts
    assert await aborted(store) == before
    assert await violations(store) == {}
