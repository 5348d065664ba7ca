"""Breakers of outside services: their changes, and what one process makes of them."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline import PermanentError, Snooze, TemporaryError, Unavailable
from pipeline.breaker import (
    FIRST,
    IN_A_ROW,
    LEAST,
    LONGEST,
    Breaker,
    answered,
    begin_probe,
    give_back,
    hold,
    join,
    trip,
)
from pipeline.errors import DefinitionError
from pipeline.model import Away, Failed, Failure, Interrupted, Snoozed
from pipeline.services import Services

NOW = datetime(2030, 1, 1, tzinfo=UTC)
A, B = "stage:p/a", "stage:p/b"
MINUTE = timedelta(minutes=1)


def opened(stage: str = A, *, wait: timedelta | None = None, now: datetime = NOW) -> Breaker:
    breaker = trip(stage, "it is away", wait)(None, now)
    assert breaker is not None
    return breaker


def until(breaker: Breaker | None) -> datetime:
    assert breaker is not None
    assert breaker.until is not None
    return breaker.until


def test_each_failed_probe_doubles_the_pause() -> None:
    breaker, now, pauses = opened(), NOW, []
    for _ in range(9):
        pauses.append(until(breaker) - now)
        now = until(breaker)
        probing = begin_probe("w", MINUTE)(breaker, now)
        after = trip(A, "still away", None)(probing, now)
        assert after is not None
        assert after.probe is None
        breaker = after
    assert pauses[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert pauses[-1] == LONGEST
    assert answered("w")(breaker, now) is None


def test_a_pause_that_is_asked_for_is_kept_within_reason() -> None:
    assert until(opened(wait=timedelta(minutes=30))) == NOW + timedelta(minutes=30)
    assert until(opened(wait=timedelta(0))) == NOW + LEAST
    longer = trip(A, "busy", timedelta(minutes=2))(opened(), NOW)
    assert until(longer) == NOW + timedelta(minutes=2)
    assert longer is not None
    assert longer.failures == 1


def test_those_that_fail_at_the_same_time_are_no_further_failure() -> None:
    breaker = opened()
    assert trip(A, "away, too", None)(breaker, NOW + LEAST) is breaker
    joined = trip(B, "away, too", None)(breaker, NOW + LEAST)
    assert joined is not None
    assert (joined.stages, joined.failures, joined.until) == ((A, B), 1, breaker.until)
    assert join(A)(None, NOW) is None


def test_one_probes_and_when_it_tells_nothing_in_time_another_may() -> None:
    breaker = opened()
    assert begin_probe("one", MINUTE)(breaker, NOW) is breaker, "it is not due"
    due = until(breaker)
    probing = begin_probe("one", MINUTE)(breaker, due)
    assert probing is not None
    assert (probing.probe, probing.due) == ("one", due + MINUTE)
    assert begin_probe("two", MINUTE)(probing, due + LEAST) is probing
    assert give_back("two")(probing, due) is probing
    back = give_back("one")(probing, due)
    assert back is not None
    assert back.due == due
    late = begin_probe("two", MINUTE)(probing, due + MINUTE)
    assert late is not None
    assert late.probe == "two"


def test_what_an_operator_holds_is_neither_probed_nor_closed_by_an_answer() -> None:
    held = hold("unpaid")(opened(), NOW)
    assert held is not None
    assert held.due is None
    assert hold("again")(held, NOW) is held
    assert begin_probe("one", MINUTE)(held, NOW + MINUTE) is held
    assert answered("one")(held, NOW) is held
    assert trip(A, "away", None)(held, NOW + MINUTE) is held


def call(services: Services, task: str, error: Exception | None = None, name: str = "s") -> None:
    """Call a service in an attempt of a task."""
    services.call(task, A, name)
    services.called(task, A, name, error)


def test_three_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    services = Services()
    jam = TemporaryError("jam")
    for outcome in (jam, jam, None, jam, jam, PermanentError("not this"), jam, Snooze(LEAST), jam):
        call(services, "t", outcome)
        assert services.parked == set()
    assert IN_A_ROW == 3
    call(services, "t", jam)
    assert services.parked == {A}
    with pytest.raises(Unavailable, match="waiting as jam") as caught:
        call(services, "u")
    assert LEAST <= caught.value.delay <= FIRST


def test_an_attempt_that_was_let_through_closes_or_opens_it() -> None:
    now = 0.0
    services = Services(now=lambda: now)
    call(services, "t", Unavailable("s", retry_after=LEAST))
    assert services.half_open == set()
    now = 1.5
    assert services.half_open == {A}
    services.probe("t", services.parking(A))
    call(services, "t")
    assert services.parked == set()


def test_a_probe_that_ends_within_a_call_has_failed_and_one_that_is_interrupted_tells_nothing() -> None:
    told: list[tuple[str, Breaker | None]] = []
    services = Services("w")
    services.tell = lambda name, decide: told.append((name, decide(begun, until(breaker))))
    breaker = opened()
    begun = begin_probe("w", MINUTE)(breaker, until(breaker))
    services.know("s", breaker, NOW)
    for outcome in (Failed(Failure("TemporaryError", "it took too long"), None), Interrupted()):
        services.probe("t", ["s"])
        services.call("t", A, "s")
        services.ended("t", A, outcome)
    (_, failed), (_, back) = told
    assert failed is not None
    assert (failed.failures, failed.why) == (2, "it took too long")
    assert back is not None
    assert (back.failures, back.probe) == (1, None)


def test_a_stage_of_two_services_waits_for_both() -> None:
    now = 0.0
    services = Services(now=lambda: now)
    services.know("one", opened(wait=LEAST), NOW)
    services.know("two", opened(wait=MINUTE), NOW)
    now = 2.0
    assert services.half_open == set()
    now = 61.0
    assert services.half_open == {A}
    assert services.parking(A) == ["one", "two"]


def test_an_old_event_does_not_reopen_what_is_known_better() -> None:
    services = Services(now=lambda: 0.0)
    services.know("s", opened(now=NOW, wait=MINUTE), NOW)
    services.know("s", opened(B, now=NOW - MINUTE))
    assert services.parked == {A}
    services.ended("t", B, Snoozed(LEAST, "away", Away("other", "away", None)))
    assert services.parked == {A, B}


@pytest.mark.parametrize("name", ["", "a service", "x" * 121, "dr\u00fccker"])
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="no spaces"):
        Unavailable(name)
    with pytest.raises(DefinitionError, match="no spaces"):
        Services().call("t", A, name)
