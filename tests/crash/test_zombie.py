"""A worker that is paused for longer than its lease lasts, and wakes up beside the next holder or later."""

import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from pipeline.settings import StoreSettings
from tests.crash.chain import GATE, HELD_PART, HOLD, STAGES
from tests.crash.dying import Trip, at_every_stage, begin, sound, trip, worker
from tests.support import until

ONE_SLOT = {"MILLRACE_WORKER_SLOTS": "1", "MILLRACE_WORKER_LEASE": "3"}


async def task_of(journey: Trip, stage: str) -> dict[str, Any]:
    return next(task for task in await journey.tasks() if task["stage"] == stage)


async def dead(processes: list[psutil.Process]) -> None:
    """Wait until none of these lives any more."""
    _, left = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(processes, timeout=30))
    assert not left, "a zombie's child process lives on"


async def works_again(first: Trip, stage: str, gate: Path) -> None:
    """Make sure that the only worker with a free slot, which lost its lease, does another job."""
    other = await begin(first.store, gate.with_name("trace-other"))
    await other.trace.waits(stage)
    await anyio.Path(gate).touch()
    await other.check(await until(first.store, other.job), dict.fromkeys(STAGES, 1))


async def wakes_beside_the_next_holder(settings: StoreSettings, tmp_path: Path, stage: str) -> None:
    gates = [tmp_path / "gate-first", tmp_path / "gate-second"]
    held = [{**ONE_SLOT, HOLD: stage, GATE: str(gate)} for gate in gates]
    async with trip(settings, stage, tmp_path) as journey, AsyncExitStack() as stack:
        zombie = await stack.enter_async_context(worker(journey.settings, "zombie", **held[0]))
        await journey.trace.waits(stage)
        children = psutil.Process(zombie.pid).children(recursive=True)
        zombie.send_signal(signal.SIGSTOP)
        await stack.enter_async_context(worker(journey.settings, "second", **held[1]))
        await journey.trace.waits(stage, times=2)  # the lease has run out, and it was rescued
        if stage != "scan":
            gates[0].touch()  # the zombie finishes its part as soon as it wakes
        before, saved = await task_of(journey, stage), await journey.saved()
        zombie.send_signal(signal.SIGCONT)
        if stage == "scan":
            await dead(children)
        await works_again(journey, stage, gates[0])
        now = await task_of(journey, stage)
        assert (now["state"], now["attempt"], now["lease"]["worker"]) == ("running", 2, "second")
        assert now["lease"]["claim_id"] == before["lease"]["claim_id"]
        assert await journey.saved() == saved
        gates[1].touch()
        view = await until(journey.store, journey.job)
        await journey.check(view, {name: 1 + (name == stage) for name in STAGES})
        assert journey.trace.begun()[stage, HELD_PART] == 2
        assert journey.trace.begun().total() == 10
        await sound(journey.store)


async def wakes_when_its_job_is_done(settings: StoreSettings, tmp_path: Path, stage: str) -> None:
    gate = tmp_path / "gate"
    held = {**ONE_SLOT, HOLD: stage, GATE: str(gate)}
    async with trip(settings, stage, tmp_path) as journey:
        async with worker(journey.settings, "zombie", **held) as zombie:
            await journey.trace.waits(stage)
            children = psutil.Process(zombie.pid).children(recursive=True)
            zombie.send_signal(signal.SIGSTOP)
            async with worker(journey.settings, "second", **ONE_SLOT):
                view = await until(journey.store, journey.job)
            tasks = await journey.tasks()
            zombie.send_signal(signal.SIGCONT)
            if stage == "scan":
                await dead(children)
            await works_again(journey, stage, gate)
            assert await journey.tasks() == tasks
        await journey.check(view, {name: 1 + (name == stage) for name in STAGES})
        await sound(journey.store)


@pytest.mark.parametrize("wakes", [wakes_beside_the_next_holder, wakes_when_its_job_is_done])
async def test_a_zombie_writes_nothing(
    store_settings: StoreSettings,
    tmp_path: Path,
    wakes: Callable[[StoreSettings, Path, str], Awaitable[None]],
) -> None:
    async def at(stage: str) -> None:
        folder = tmp_path / stage
        folder.mkdir()
        await wakes(store_settings, folder, stage)

    await at_every_stage(at)
