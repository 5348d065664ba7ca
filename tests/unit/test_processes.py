"""Whose turn it is for a child process."""

import os

import anyio

from pipeline.processes import Processes


def own_pid(_: int) -> int:
    return os.getpid()


async def test_work_runs_in_another_process_that_is_kept() -> None:
    processes = Processes(1)
    first, second = await processes.run(0, own_pid, 0), await processes.run(1, own_pid, 0)
    assert first == second != os.getpid()


async def test_the_least_served_goes_first_and_equals_by_arrival() -> None:
    processes = Processes(1)
    order: list[str] = []

    async def turn(name: str, served: int) -> None:
        async with processes._turn(served):
            order.append(name)

    async with anyio.create_task_group() as group:
        async with processes._turn(0):
            for name, served in (("page 9", 9), ("page 3", 3), ("short", 0), ("shorter", 0)):
                group.start_soon(turn, name, served)
            await anyio.wait_all_tasks_blocked()
    assert order == ["short", "shorter", "page 3", "page 9"]


async def test_a_cancelled_wait_loses_no_turn() -> None:
    processes = Processes(1)

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            async with processes._turn(0):
                raise AssertionError("it was cancelled")

    async with anyio.create_task_group() as group:
        waiting, granted = anyio.CancelScope(), anyio.CancelScope()
        async with processes._turn(0):
            group.start_soon(wait, granted)
            group.start_soon(wait, waiting)
            await anyio.wait_all_tasks_blocked()
            waiting.cancel()
            await anyio.wait_all_tasks_blocked()
            granted.cancel()  # and its turn comes before it notices
    with anyio.fail_after(5):
        async with processes._turn(0):
            assert not processes._waiting
