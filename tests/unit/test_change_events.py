"""Change events as the server sends them, reduced to what listeners need."""

from itertools import permutations
from typing import Any

import pytest

from pipeline.store.changes import _event

CHANGED: dict[str, Any] = {
    "errors.19": {"type": "WorkerDied"},
    "errors.3.at": "later",
    "errors.4.message": "another",
    "progress.done": 3,
    "state": "ready",
}
"""Of a task whose oldest error was dropped: whole elements, and members of others, in any order."""


@pytest.mark.parametrize("paths", list(permutations(list(CHANGED)[:4])))
def test_an_update_inside_of_a_list_is_an_event_like_any_other(paths: tuple[str, ...]) -> None:
    fields = {path: CHANGED[path] for path in (*paths, "state")}
    change = {
        "operationType": "update",
        "_id": {"_data": "82"},
        "updateDescription": {"updatedFields": fields},
    }
    assert _event(change).fields == {
        "errors": [{"type": "WorkerDied"}],
        "progress": {"done": 3},
        "state": "ready",
    }
