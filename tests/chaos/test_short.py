"""The short form of `make chaos`: one fault of each kind, one after the other."""

import os
from pathlib import Path

import pytest

from tests.chaos.faults import (
    kill_api,
    kill_child,
    kill_cursors,
    kill_primary,
    kill_worker,
    pause_worker,
    step_down,
    stop_worker,
)
from tests.chaos.run import Plan, run

FAULTS = (
    kill_worker,
    kill_child,
    pause_worker,
    kill_api,
    step_down,
    stop_worker,
    kill_cursors,
    kill_primary,
    kill_worker,
)
SECONDS = float(os.environ.get("MILLRACE_TEST_CHAOS", "30"))
"""For faults; starting, healing and looking take about as long."""


@pytest.mark.timeout(SECONDS * 2 + 240)
async def test_nothing_is_lost_in_a_little_chaos(tmp_path: Path) -> None:
    plan = Plan(minutes=SECONDS / 60, seed=7, every=(1.0, 3.0), rate=2.0, faults=FAULTS)
    report = await run(plan, tmp_path)
    assert report.violations == []
    assert report.documents > 0
    assert report.parts_saved > 0
    assert sum(report.ends.values()) == report.documents
