"""When each part was saved, by the change stream; compared with when it was begun, by the trace."""

import logging
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus
from pymongo.errors import PyMongoError

from pipeline.store import Store
from tests.chaos.papers import Begun

_log = logging.getLogger("millrace.chaos")

Part = tuple[str, int]
"""A task, and the number of one of its parts."""

_SAVED: list[dict[str, Any]] = [
    {"$match": {"operationType": "insert"}},
    {"$project": {"wallTime": 1, "fullDocument.task": 1, "fullDocument.key": 1}},
]


class Observer:
    """Watches checkpoints being made. `run` it in a task group."""

    def __init__(self, store: Store) -> None:
        self._checkpoints = store.db["checkpoints"]
        self.saved: dict[Part, datetime] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled, over every outage."""
        token: Any = None
        while True:
            try:
                async with await self._checkpoints.watch(_SAVED, resume_after=token) as stream:
                    if token is None:
                        token = stream.resume_token
                        task_status.started()
                    async for change in stream:
                        token = stream.resume_token
                        self._saw(change)
            except PyMongoError as error:
                _log.info("the observer comes back: %s", error)
                await anyio.sleep(0.5)

    async def caught_up(self) -> None:
        """Wait until everything that is saved was seen."""
        with anyio.fail_after(60):
            while True:
                if len(self.saved) >= await self._checkpoints.count_documents({}):
                    return
                await anyio.sleep(0.1)

    def again(self, trace: Path, zombies: dict[int, str]) -> tuple[list[str], int]:
        """Return the parts that were begun after they were saved, and how many of those by zombies.

        A worker that was paused in the moment between its last look at its lease and the begin of a part
        begins it when it wakes: that is counted, and no violation.
        """
        begun: defaultdict[Part, list[Begun]] = defaultdict(list)
        for line in trace.read_text().splitlines():
            each = Begun.read(line)
            begun[each.task, each.part].append(each)
        late = [
            each for part, saved in self.saved.items() for each in begun[part] if each.at > saved.timestamp()
        ]
        told = [f"{each.task} part {each.part}" for each in late if each.pid not in zombies]
        return told, len(late) - len(told)

    def _saw(self, change: dict[str, Any]) -> None:
        document = change["fullDocument"]
        part = document["task"], int(document["key"].rpartition("-")[2])
        self.saved.setdefault(part, change["wallTime"])
