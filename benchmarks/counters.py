"""What mongod itself counted: commands by name, write conflicts, aborted transactions."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.store import Store

_PROBES = ("serverStatus", "top")


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts since mongod's start, or between two looks."""

    commands: Counter[str]
    """By name, of all clients."""
    write_conflicts: int
    aborted: int
    """Transactions that did not commit."""

    def since(self, earlier: "Counters") -> "Counters":
        """Return what was counted after an earlier look, without the looks themselves."""
        commands = self.commands - earlier.commands
        for name in _PROBES:
            del commands[name]
        return Counters(
            commands, self.write_conflicts - earlier.write_conflicts, self.aborted - earlier.aborted
        )


async def counters(store: Store) -> Counters:
    """Ask the store's mongod for its counts."""
    status: dict[str, Any] = await store.db.client.admin.command("serverStatus", metrics=1)
    commands = {
        name: int(counts["total"])
        for name, counts in status["metrics"]["commands"].items()
        if isinstance(counts, dict) and "total" in counts
    }
    # Some finds counted there are of mongod's own keys and sessions, now and then, whatever clients do.
    commands["find"] = await _finds(store)
    return Counters(
        Counter(commands),
        int(status["metrics"]["operation"]["writeConflicts"]),
        int(status["transactions"]["totalAborted"]),
    )


async def _finds(store: Store) -> int:
    """Return how many reads of the store's database there were."""
    top: dict[str, Any] = await store.db.client.admin.command("top")
    return sum(
        int(uses["queries"]["count"])
        for namespace, uses in top["totals"].items()
        if namespace.startswith(f"{store.db.name}.")
    )
