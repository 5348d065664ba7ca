"""What mongod itself counted: commands by name, write conflicts, aborted transactions."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.store import Store

_PROBE = "serverStatus"


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts since mongod's start, or between two looks."""

    commands: Counter[str]
    """By name, those of any client, and of mongod itself."""
    write_conflicts: int
    aborted: int
    """Transactions that did not commit."""

    def since(self, earlier: "Counters") -> "Counters":
        """Return what was counted after an earlier look, without the looks themselves."""
        commands = self.commands - earlier.commands
        del commands[_PROBE]
        return Counters(
            commands, self.write_conflicts - earlier.write_conflicts, self.aborted - earlier.aborted
        )


async def counters(store: Store) -> Counters:
    """Ask the store's mongod for its counts."""
    status: dict[str, Any] = await store.db.client.admin.command(_PROBE, metrics=1)
    commands = {
        name: int(counts["total"])
        for name, counts in status["metrics"]["commands"].items()
        if isinstance(counts, dict) and "total" in counts
    }
    return Counters(
        Counter(commands),
        int(status["metrics"]["operation"]["writeConflicts"]),
        int(status["transactions"]["totalAborted"]),
    )
