"""A rate's bucket: whatever happens, no more is taken than a full one and what has flown into it."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.limit import Rate

AMOUNTS = st.integers(1, 1000)
RATES = st.builds(Rate, AMOUNTS, st.floats(0.1, 1000))
STEPS = st.lists(st.tuples(st.floats(-500, 500), st.integers(0, 1500)), min_size=1, max_size=30)
"""Seconds by the server's clock since the step before, and what is asked for then."""


@given(rate=RATES, steps=STEPS)
def test_no_more_begins_than_flows_in(rate: Rate, steps: list[tuple[float, int]]) -> None:
    left, flown = float(rate.amount), 0.0
    taken: list[tuple[float, int]] = []
    for seconds, cost in steps:
        left = rate.left(left, seconds)
        flown += max(0.0, seconds) * rate.amount / rate.per
        if rate.wait(left, cost) == 0:
            left -= cost
            taken.append((flown, cost))
    for first in range(len(taken)):
        total = 0.0
        for last in range(first, len(taken)):
            since = taken[last][0] - taken[first][0]
            # What costs more than there ever is begins with a full bucket, and is owed.
            begins = total + min(taken[last][1], rate.amount)
            assert begins <= rate.amount + since + 1e-6 * (1 + since)
            total += taken[last][1]


@given(rate=RATES, left=st.floats(-1e6, 1000), cost=st.integers(0, 1500))
def test_after_the_wait_there_is_enough_and_not_before(rate: Rate, left: float, cost: int) -> None:
    left = rate.left(left, 0)
    wait = rate.wait(left, cost)
    assert rate.wait(rate.left(left, wait), cost) <= 1e-6 * (1 + wait)
    if wait > 0:
        assert rate.wait(rate.left(left, wait / 2), cost) > 0


@given(rate=RATES, left=st.floats(-1e6, 1000), seconds=st.floats(-1e9, 1e9))
def test_a_clock_that_goes_back_gives_and_takes_nothing(rate: Rate, left: float, seconds: float) -> None:
    left = rate.left(left, 0)
    after = rate.left(left, seconds)
    assert left <= after <= rate.amount
    assert after == left or seconds > 0
