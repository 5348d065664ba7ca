"""One job whose workers are killed one after the other, at points that a seed chooses."""

import os
from pathlib import Path
from random import Random

import anyio
import pytest

from pipeline.crashpoints import POINTS
from pipeline.rescuer import release_worker
from pipeline.settings import StoreSettings
from tests.crash.dying import WORKER, Trip, dies_at, finish, trip
from tests.support import until

LONG = os.environ.get("MILLRACE_TEST_LONG") == "1"
SEEDS = range(40 if LONG else 3)
DEATHS = 12 if LONG else 5

ANYWHERE = ("admit.seen", "token.due", "token.saved", "gap.opened", "gap.healed", "rescue.begun")
ELSEWHERE = ("stop.begun", "stop.interrupted", "submit.inserted", "cancel.written", "probe.begun")
"""Points that are passed outside of stages, and those that such a worker never passes."""
AT_A_STAGE = [name for name in POINTS if name not in (*ANYWHERE, *ELSEWHERE) and "upload" not in name]


async def place(journey: Trip, random: Random) -> str:
    """Choose a point that the next worker may pass."""
    at_work = [task["stage"] for task in await journey.tasks() if task["state"] in ("ready", "running")]
    if not at_work or random.random() < 0.2:
        return random.choice(ANYWHERE)
    return f"{random.choice(AT_A_STAGE)}@{at_work[0]}:{random.randint(1, 3)}"


async def step(journey: Trip, point: str, name: str) -> bool:
    """Run a worker until it dies, True, or the job has ended."""
    died = False
    async with anyio.create_task_group() as group:

        async def until_it_ended() -> None:
            await until(journey.store, journey.job)
            group.cancel_scope.cancel()

        group.start_soon(until_it_ended)
        await dies_at(journey.settings, point, WORKER, name, MILLRACE_WORKER_LEASE="2")
        died = True
        group.cancel_scope.cancel()
    return died


@pytest.mark.timeout(400 if LONG else 120)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_job_survives_a_walk_of_deaths(
    store_settings: StoreSettings, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    deaths: list[str] = []
    async with trip(store_settings, "walk", tmp_path) as journey:
        while len(deaths) < DEATHS:
            saved, before = await journey.saved(), journey.trace.begun()
            point, name = await place(journey, random), f"worker-{len(deaths)}"
            if not await step(journey, point, name):
                break
            deaths.append(point)
            again = {part for part, times in journey.trace.begun().items() if times > before[part]}
            assert not again & saved, f"a part that was saved ran again after {deaths}"
            if random.random() < 0.7:  # else the lease runs out
                await release_worker(journey.store, name)
        attempts = await journey.expected()
        assert sum(attempts.values()) <= len(attempts) + len(deaths), deaths
        await finish(journey, attempts)
