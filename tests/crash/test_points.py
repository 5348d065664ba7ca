"""Every named crash point, at every stage: a worker is killed there, another one finishes."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from pipeline.client import Client
from pipeline.crashpoints import POINTS, VARIABLE
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings, WorkerSettings
from pipeline.store import Store
from pipeline.store.documents import INLINE_BYTES
from tests.crash.chain import HOLD, PARTS, STAGES, Trace
from tests.crash.dying import (
    WORKER,
    Trip,
    at_every_stage,
    begin,
    dies_at,
    finish,
    finishing,
    ready_at,
    sound,
    trip,
)
from tests.support import until, worker_process

COMPLETION = len(PARTS) + 1
"""The commits of an attempt: one for each part, and one for its end."""


@dataclass(frozen=True, slots=True)
class Case:
    """A point that every stage passes."""

    point: str
    attempts: int = 2
    """Of the stage, in the end."""
    passage: int = 1
    held: bool = False
    """The stage waits in its second part until it is killed."""
    expires: bool = False
    """Nobody knows of the death: the lease has to run out."""

    def __str__(self) -> str:
        return f"{self.point}-{self.passage}"

    def expected(self, stage: str) -> dict[str, int]:
        """Return the attempts of every stage, in the end."""
        expected = {name: self.attempts if name == stage else 1 for name in STAGES}
        following = STAGES[STAGES.index(stage) + 1 :]
        if self.attempts == 1 and following:  # the stage had ended, and the worker gone on with the next
            expected[following[0]] = 2
        return expected

    def place(self, stage: str) -> str:
        return f"{self.point}@{stage}:{self.passage}"


AT_EVERY_STAGE = [
    Case("claim.sent"),
    Case("claim.sent", expires=True),
    Case("claim.taken"),
    Case("attempt.begun"),
    Case("checkpoint.made"),
    Case("checkpoint.made", passage=2),
    Case("commit.written"),
    Case("commit.done"),
    Case("checkpoint.saved"),
    Case("checkpoint.saved", passage=len(PARTS)),
    Case("renew.sent", passage=2, held=True),
    Case("attempt.returned"),
    Case("output.stored"),
    Case("commit.written", passage=COMPLETION),
    Case("commit.written", passage=COMPLETION, expires=True),
    Case("commit.done", passage=COMPLETION, attempts=1),
    Case("attempt.settled", attempts=1),
]


ONCE = ["admit.seen", "commit.written", "commit.done", "token.due", "token.saved", "gap.opened", "gap.healed"]
"""Of a worker, outside of any stage; the first commit is the job's admission."""

WHILE_AN_OUTPUT_IS_STORED = ["upload.begun", "upload.chunks", "upload.stored"]
WHILE_IT_STOPS = ["stop.begun", "stop.interrupted"]
OF_A_SUBMITTER = ["upload.begun", "upload.chunks", "upload.stored", "submit.inserted"]
OF_A_RESCUER = ["rescue.begun"]
ELSEWHERE = [
    "cancel.written",
    "batch.due",
    "batch.cancelling",
    "reprocess.written",
    "reprocess.begun",
    "schedule.due",
    "schedule.fired",
    "cleanup.written",
    "cleanup.removed",
    "probe.begun",
    "usage.asked",
    "usage.due",
]
"""In `test_locks`, `test_batches`, `test_reprocess`, `test_upkeep`, `test_usage` and `test_services`."""


def test_no_point_is_without_a_test() -> None:
    lists = [ONCE, WHILE_AN_OUTPUT_IS_STORED, WHILE_IT_STOPS, OF_A_SUBMITTER, OF_A_RESCUER, ELSEWHERE]
    assert {case.point for case in AT_EVERY_STAGE}.union(*lists) == set(POINTS)


@pytest.mark.parametrize("case", AT_EVERY_STAGE, ids=str)
async def test_a_worker_is_killed_at_every_stage(
    store_settings: StoreSettings, tmp_path: Path, case: Case
) -> None:
    async def at(stage: str) -> None:
        async with trip(store_settings, stage, tmp_path) as journey:
            lease = {"MILLRACE_WORKER_LEASE": "2"} if case.held or case.expires else {}
            variables = {**lease, HOLD: stage} if case.held else lease
            if case.point.startswith("claim."):
                await ready_at(journey, stage)
            await dies_at(journey.settings, case.place(stage), WORKER, "first", **variables)
            expected = case.expected(stage)
            if not case.expires:
                assert await release_worker(journey.store, "first") == sum(expected.values()) - len(STAGES)
            await finish(journey, expected)

    await at_every_stage(at)


@pytest.mark.parametrize("point", OF_A_RESCUER)
async def test_a_rescuer_is_killed(store_settings: StoreSettings, tmp_path: Path, point: str) -> None:
    async def at(stage: str) -> None:
        async with trip(store_settings, stage, tmp_path) as journey:
            lease = {"MILLRACE_WORKER_LEASE": "2"}
            await dies_at(journey.settings, f"checkpoint.saved@{stage}", WORKER, "first", **lease)
            await dies_at(journey.settings, f"{point}@{stage}", WORKER, "second", **lease)
            await finish(journey, {name: 2 if name == stage else 1 for name in STAGES})

    await at_every_stage(at)


@pytest.mark.parametrize("point", [*ONCE, *WHILE_AN_OUTPUT_IS_STORED])
async def test_a_worker_is_killed_outside_its_stages(
    store_settings: StoreSettings, tmp_path: Path, point: str
) -> None:
    async with trip(store_settings, "once", tmp_path) as journey:
        await dies_at(journey.settings, point, WORKER, "first", **{HOLD: "total"})
        attempts = await journey.expected()
        await release_worker(journey.store, "first")
        await finish(journey, attempts)


async def test_a_worker_is_killed_that_was_told_of_a_job(
    store_settings: StoreSettings, tmp_path: Path
) -> None:
    """And has not admitted it: the next worker resumes after its event, and finds it by index."""
    rarely = WorkerSettings(processes=1, reconciliation=timedelta(hours=1))
    async with trip(store_settings, "told", tmp_path) as earlier:
        async with finishing(earlier.store, rarely):
            await until(earlier.store, earlier.job)
        told = await begin(earlier.store, tmp_path / "trace-told")
        await dies_at(told.settings, "admit.seen", WORKER, "first")
        await release_worker(told.store, "first")
        await finish(told, dict.fromkeys(STAGES, 1), rarely)
        assert [gap["why"] async for gap in told.store.db["gaps"].find()] == ["first start"]


@pytest.mark.parametrize("point", WHILE_IT_STOPS)
async def test_a_worker_is_killed_while_it_stops(
    store_settings: StoreSettings, tmp_path: Path, point: str
) -> None:
    variables = {HOLD: "scan", VARIABLE: point, "MILLRACE_WORKER_GRACE": "0"}
    async with trip(store_settings, "stops", tmp_path) as journey:
        command = ("tests.crash.chain:CHAIN", "--name", "first")
        async with worker_process(journey.settings, *command, **variables) as process:
            await journey.trace.waits("scan")
            process.terminate()
            with anyio.fail_after(30):
                assert await process.wait() == -9
        assert await release_worker(journey.store, "first") == 1
        await finish(journey, {"scan": 2, "expand": 1, "total": 1})


@pytest.mark.parametrize("point", OF_A_SUBMITTER)
async def test_a_submitter_is_killed_and_submits_again(store: Store, tmp_path: Path, point: str) -> None:
    trace, document = Trace(tmp_path / "trace"), tmp_path / "document"
    document.write_text(str(trace.path).ljust(INLINE_BYTES + 1))  # so that it goes to GridFS
    await dies_at(store.settings, point, "tests.crash.submitter", "key", str(document))
    before = await store.db["jobs"].count_documents({})
    assert before == (point == "submit.inserted")
    job = await Client(store).submit_file(document, "chain", idempotency_key="key")
    assert await store.db["jobs"].count_documents({}) == 1
    async with finishing(store):
        view = await until(store, job.id)
    await Trip(store, job.id, trace).check(view, dict.fromkeys(STAGES, 1))
    assert await store.db["uploads"].count_documents({}) == 0
    await sound(store)
