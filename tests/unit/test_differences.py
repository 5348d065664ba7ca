"""What is other between two JSON values is told by paths, and bounded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.differences import LONGEST_LIST, LONGEST_VALUE, differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)


def told(before: Any, after: Any) -> list[tuple[str, str, Any, Any]]:
    found = differences(before, after, limit=100).found
    return [(each.kind, each.path, each.before, each.after) for each in found]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("changed", "/a", 1, 2)]),
        ({"a": 1}, {"b": 1}, [("removed", "/a", 1, None), ("added", "/b", None, 1)]),
        ({"a": None}, {}, [("removed", "/a", None, None)]),
        ({"a/b~": {"c": True}}, {"a/b~": {"c": 1}}, [("changed", "/a~1b~0/c", True, 1)]),
        ([1, 2, 3], [0, 1, 2, 3], [("added", "/0", None, 0)]),
        ([{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 3}], [("changed", "/1/n", 2, 3)]),
        ([1, 2, 3], [1, 3], [("removed", "/1", 2, None)]),
        ({"a": [1]}, {"a": {"0": 1}}, [("changed", "/a", [1], {"0": 1})]),
    ],
)
def test_what_was_and_what_is(before: Any, after: Any, expected: list[tuple[str, str, Any, Any]]) -> None:
    assert told(before, after) == expected


@given(JSON, JSON)
def test_nothing_is_told_of_equals_and_something_of_all_others(before: Any, after: Any) -> None:
    assert told(before, before) == []
    assert bool(told(before, after)) == (repr(_sorted(before)) != repr(_sorted(after)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def test_long_texts_are_told_by_lines_and_all_is_bounded() -> None:
    lines = [f"line {number}" for number in range(200)]
    other = [*lines[:100], "another", *lines[101:]]
    [found] = differences({"text": "\n".join(lines)}, {"text": "\n".join(other)}, limit=10).found
    assert found.lines == ["@@ -101 +101 @@", "-line 100", "+another"]
    assert (found.before, found.after) == (None, None)
    many = differences(list(range(50)), [number + 100 for number in range(50)], limit=10)
    assert (len(many.found), many.more) == (10, 40)
    [long] = differences({}, {"a": "x" * 9_999}, limit=10).found
    assert len(long.after) == LONGEST_VALUE + 1
    [large] = differences({}, {"a": ["x" * 100] * 99}, limit=10).found
    assert large.after == "a list of 99"
    assert told([0] * LONGEST_LIST + [1], [1] + [0] * LONGEST_LIST) == [
        ("changed", "/0", 0, 1),
        ("changed", f"/{LONGEST_LIST}", 1, 0),
    ]
