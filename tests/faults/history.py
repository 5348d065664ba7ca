"""What happened to jobs, as the change stream tells it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from bson.timestamp import Timestamp

from pipeline.model import job_of
from pipeline.store import Store
from tests.records import Doc


@dataclass
class History:
    """What happened to each job, in the order of the change stream: `collection state`."""

    told: dict[str, list[str]] = field(default_factory=dict)

    def take(self, change: Doc) -> None:
        job = job_of(str(change["documentKey"]["_id"]))
        self.told.setdefault(job, []).append(f"{change['ns']['coll']} {state_of(change)}".strip())

    def check(self, job: str, final: str) -> None:
        """The job's final state is the only one, and the last that is told of it and of all that is its."""
        told = self.told[job]
        assert told[-1] == f"jobs {final}", told
        ended = [each for each in told if each in ("jobs succeeded", "jobs failed", "jobs cancelled")]
        assert len(ended) == 1, told


def state_of(change: Doc) -> str:
    """Return the state that a change set; empty when it set none."""
    changed = change.get("fullDocument") or change.get("updateDescription", {}).get("updatedFields", {})
    return str(changed.get("state", ""))


@asynccontextmanager
async def recorded(store: Store) -> AsyncIterator[History]:
    """Record all changes that are made inside the block."""
    history = History()
    began = await store.changes.now()
    yield history
    await _read(store, began, history)


async def _read(store: Store, began: Timestamp, history: History) -> None:
    """Read everything up to a change of our own."""
    after = Timestamp(began.time, began.inc + 1)
    async with await store.db.watch(start_at_operation_time=after) as changes:
        await store.db["marks"].insert_one({})
        with anyio.fail_after(60):
            async for change in changes:
                if change["ns"]["coll"] == "marks":
                    return
                if change["ns"]["coll"] in ("jobs", "tasks", "outputs", "checkpoints"):
                    history.take(change)
