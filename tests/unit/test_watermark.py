"""A listener's position never passes an event whose effect isn't in the database."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.watermark import Watermark


def test_there_is_no_position_before_the_first_event() -> None:
    watermark = Watermark()
    assert watermark.safe() == ""
    watermark.expect("job")
    assert watermark.safe() == ""


def test_what_needs_no_effect_moves_it_on() -> None:
    watermark = Watermark()
    watermark.saw("a")
    watermark.saw("b")
    assert watermark.safe() == "b"


def test_it_stays_right_before_the_oldest_event_without_its_effect() -> None:
    watermark = Watermark()
    watermark.saw("a")
    for key, token in (("first", "b"), ("second", "c"), ("third", "d")):
        watermark.expect(key)
        watermark.saw(token)
    assert watermark.safe() == "a"
    watermark.settle("second")
    assert watermark.safe() == "a"
    watermark.settle("first")
    assert watermark.safe() == "c"
    watermark.settle("third")
    assert watermark.safe() == "d"


def test_an_event_that_comes_twice_keeps_its_first_position() -> None:
    watermark = Watermark()
    watermark.saw("a")
    watermark.expect("job")
    watermark.saw("b")
    watermark.expect("job")
    watermark.saw("c")
    assert watermark.safe() == "a"


def test_settling_what_was_never_expected_does_nothing() -> None:
    watermark = Watermark()
    watermark.saw("a")
    watermark.settle("unknown")
    assert watermark.safe() == "a"


EVENTS = st.lists(st.tuples(st.sampled_from(["expect", "settle", "pass"]), st.integers(0, 5)), max_size=60)


@given(EVENTS)
def test_it_never_goes_back_and_never_passes_an_open_event(events: list[tuple[str, int]]) -> None:
    watermark = Watermark()
    opened: dict[str, int] = {}
    last = 0
    for position, (kind, number) in enumerate(events, 1):
        key, before = f"{position if kind == 'expect' else 0}-{number}", watermark.safe()
        if kind == "settle":
            key = next((each for each in opened if each.endswith(f"-{number}")), key)
            watermark.settle(key)
            opened.pop(key, None)
        else:
            if kind == "expect":
                watermark.expect(key)
                opened[key] = last
            last = position
            watermark.saw(f"{position:04}")
        assert watermark.safe() >= before
        oldest = min(opened.values(), default=last)
        assert watermark.safe() == (f"{oldest:04}" if oldest else "")
