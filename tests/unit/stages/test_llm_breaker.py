"""Leaving an endpoint alone that is away."""

from datetime import timedelta

import pytest

from pipeline import Snooze
from stages.llm.breaker import FIRST, IN_A_ROW, LEAST, LONGEST, Breaker


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, duration: timedelta) -> None:
        self.seconds += duration.total_seconds()


def is_open(breaker: Breaker) -> bool:
    try:
        with breaker.request():
            return False
    except Snooze:
        return True


def test_an_endpoint_that_is_away_is_left_alone_and_then_tried_by_one() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    assert FIRST <= breaker.away("it is away", None).delay <= FIRST * 1.25
    with pytest.raises(Snooze, match="it is away") as caught, breaker.request():
        pass
    assert caught.value.delay >= FIRST
    clock.pass_by(FIRST)
    with breaker.request():
        assert is_open(breaker), "one tries for all"
        breaker.answered()
    assert not is_open(breaker)


def test_pauses_double_up_to_the_longest() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    pauses = []
    for _ in range(12):
        with breaker.request():
            pauses.append(breaker.away("x", None).delay)
        clock.pass_by(LONGEST)
    assert pauses[1] >= 2 * FIRST
    assert LONGEST <= pauses[-1] <= LONGEST * 1.25
    breaker.answered()
    assert breaker.away("x", None).delay <= FIRST * 1.25


def test_what_the_endpoint_asks_for_goes_before_its_own_pauses_but_never_spins() -> None:
    breaker = Breaker(Clock())
    assert timedelta(minutes=30) <= breaker.away("x", timedelta(minutes=30)).delay
    assert LEAST <= Breaker(Clock()).away("x", timedelta(0)).delay <= LEAST * 1.25


def test_one_documents_failures_do_not_open_it_several_in_a_row_do() -> None:
    breaker = Breaker(Clock())
    for _ in range(IN_A_ROW - 1):
        breaker.failed("x")
    assert not is_open(breaker)
    breaker.answered()
    for _ in range(IN_A_ROW):
        assert not is_open(breaker)
        breaker.failed("x")
    assert is_open(breaker)


def test_a_trial_that_is_cancelled_lets_another_one_try() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.away("x", None)
    clock.pass_by(FIRST)
    with pytest.raises(KeyboardInterrupt), breaker.request():
        raise KeyboardInterrupt
    assert not is_open(breaker)


def test_requests_that_fail_together_are_one_failure() -> None:
    breaker = Breaker(Clock())
    assert max(breaker.away("x", None).delay for _ in range(8)) <= FIRST * 1.25
