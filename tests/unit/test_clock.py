"""What a process knows of the server's clock: nothing rather than something wrong."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from bson.timestamp import Timestamp

from pipeline.store import clock
from pipeline.store.clock import LONGEST_ROUND_TRIP, STEP, ServerClock

START = datetime(2030, 1, 1, tzinfo=UTC)
GOOD_FOR = timedelta(seconds=45)


class Machine:
    """This machine's monotonic clock; the server's runs at its rate, and shows `START` at 0."""

    def __init__(self) -> None:
        self.now = 1000.0

    @property
    def server_time(self) -> datetime:
        return START + timedelta(seconds=self.now)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: machine.now))
    return machine


def sample(machine: Machine, estimate: ServerClock, there: float = 0.01, back: float = 0.01) -> None:
    """Ask the server; the question and its answer take that many seconds."""
    sent = machine.now
    machine.now += there
    shown = machine.server_time
    machine.now += back
    estimate.sample(shown, sent)


@pytest.mark.parametrize(("there", "back"), [(0, 0), (0.4, 0), (0, 0.4), (0.2, 0.2)])
def test_it_is_never_ahead_of_the_servers_and_behind_by_a_round_trip_at_most(
    machine: Machine, there: float, back: float
) -> None:
    estimate = ServerClock(GOOD_FOR)
    sample(machine, estimate, there, back)
    for _ in range(4):
        now = estimate.now()
        assert now is not None
        behind = (machine.server_time - now).total_seconds()
        assert -1e-6 <= behind <= there + back + 1e-6
        machine.now += 10


def test_without_a_sample_nobody_knows(machine: Machine) -> None:
    estimate = ServerClock(GOOD_FOR)
    assert estimate.now() is None
    estimate.check(Timestamp(2**31, 1))
    assert estimate.now() is None


def test_an_answer_that_took_too_long_is_not_taken(machine: Machine) -> None:
    estimate = ServerClock(GOOD_FOR)
    sample(machine, estimate, LONGEST_ROUND_TRIP, 0.01)
    assert estimate.now() is None
    sample(machine, estimate)
    known = estimate.now()
    sample(machine, estimate, 0.01, 5)
    assert known is not None
    assert estimate.now() == known + timedelta(seconds=5.01)


def test_it_is_forgotten_when_it_has_not_been_taken_anew(machine: Machine) -> None:
    estimate = ServerClock(GOOD_FOR)
    sample(machine, estimate)
    machine.now += GOOD_FOR.total_seconds() - 0.1
    assert estimate.now() is not None
    machine.now += 0.2
    assert estimate.now() is None
    sample(machine, estimate)
    assert estimate.now() is not None


def test_it_is_forgotten_when_the_history_of_the_set_is_ahead_of_it(machine: Machine) -> None:
    estimate = ServerClock(GOOD_FOR)
    sample(machine, estimate)
    now = int(machine.server_time.timestamp())
    for plausible in (None, Timestamp(now, 9), Timestamp(now - 3600, 1), Timestamp(now + int(STEP), 1)):
        estimate.check(plausible)
        assert estimate.now() is not None
    estimate.check(Timestamp(now + int(STEP) + 1, 1))
    assert estimate.now() is None
    sample(machine, estimate)
    assert estimate.now() is not None
