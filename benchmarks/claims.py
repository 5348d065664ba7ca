"""Claims as mongod saw them: a worker looks for work, and takes some of what it has found, or nothing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.profiler import Entry

# Not the second half of a look, at jobs that were inserted without a priority.
_WHOLE = {"command.filter.priority": {"$exists": False}}
_LOOK = {"op": "query", "command.sort.priority": {"$exists": True}, **_WHOLE}
_TAKE = {"op": "update", "command.q.state": {"$in": ["ready", "submitted"]}}

LOOKS_AND_TAKES = {"$or": [_LOOK, _TAKE]}
"""What the profiler has to note: reads in the order of claims, and compare-and-sets from what waits."""


@dataclass(slots=True)
class Claim:
    """One worker's attempt to get work."""

    at: datetime
    looked_at: set[str] = field(default_factory=set)
    """Namespaces: waiting jobs and ready tasks are looked for at the same time."""
    taken: int = 0


def claims(entries: Iterable[Entry]) -> list[Claim]:
    """Tell the claims apart, of each client by its name, in the order in which they ended."""
    by_client: dict[str, list[Claim]] = defaultdict(list)
    for entry in entries:
        of_client, namespace = by_client[entry.get("appName", "")], entry["ns"]
        last = of_client[-1] if of_client else None
        if entry["op"] == "update":
            if last is None:
                last = Claim(entry["ts"])
                of_client.append(last)
            last.taken += entry.get("nMatched", 0)
        elif last is None or last.taken or namespace in last.looked_at:
            of_client.append(Claim(entry["ts"], {namespace}))
        else:
            last.looked_at.add(namespace)
    return sorted((each for found in by_client.values() for each in found), key=lambda each: each.at)


def while_work_was_ready(all_claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims until the last one that got something: after it, there was nothing left."""
    got = [position for position, each in enumerate(all_claims) if each.taken]
    return list(all_claims[: got[-1] + 1]) if got else []
