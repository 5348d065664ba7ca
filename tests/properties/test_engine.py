"""Random programs over the engine's verbs, against a model that is nothing but its promises."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import Engine
from tests.properties.world import World, opened_world

LONG = os.environ.get("MILLRACE_TEST_LONG") == "1"
EXAMPLES = int(os.environ.get("MILLRACE_TEST_EXAMPLES", "5000" if LONG else "30"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened_world(tmp_path_factory.mktemp("clocked")) as opened:
        yield opened


@pytest.mark.timeout(7200 if LONG else 600)  # a failing program takes minutes to become short
def test_every_program_keeps_the_promises(world: World) -> None:
    """The same programs every time in CI; others at every run of the long form."""

    class InThisWorld(Engine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        InThisWorld,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60 if LONG else 30,
            derandomize=not LONG,
            deadline=None,
            database=None,
            print_blob=LONG,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
