"""Attempts end at their limits, also where those before them in the line ended earlier."""

import anyio

from pipeline.time_limits import TimeLimits

SHORT, LONG = 0.02, 30.0


async def test_what_takes_too_long_is_cancelled_and_what_has_ended_is_left_alone() -> None:
    line = TimeLimits().line(SHORT)
    ended = anyio.CancelScope()
    line.join(ended)
    await anyio.sleep(SHORT / 2)  # the timer is the first one's, and too early for the second
    line.leave(ended)
    with anyio.fail_after(LONG), anyio.CancelScope() as stuck:
        line.join(stuck)
        await anyio.sleep_forever()
    assert stuck.cancelled_caught
    assert not ended.cancel_called


async def test_each_is_due_after_its_own_time() -> None:
    limits = TimeLimits()
    with anyio.fail_after(LONG), anyio.CancelScope() as patient:
        limits.line(LONG * 2).join(patient)
        for _ in range(3):  # the line's timer is armed anew
            with anyio.CancelScope() as stuck:
                limits.line(SHORT).join(stuck)
                await anyio.sleep_forever()
            assert stuck.cancelled_caught
    assert not patient.cancel_called


async def test_several_of_one_line_are_cancelled_in_their_order() -> None:
    line = TimeLimits().line(SHORT)
    order: list[int] = []

    async def stuck(number: int) -> None:
        with anyio.CancelScope() as scope:
            line.join(scope)
            await anyio.sleep_forever()
        order.append(number)

    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(stuck, number)
    assert order == list(range(5))
