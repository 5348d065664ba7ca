"""Indexes that are made when something first needs them.

On 6.0 a transaction that changes a job's state pays for every index there is on `jobs`, and for each the
more, the more there are: what a deployment does not use must not be among them. Where an earlier release
has made one of them at once, it stays.
"""

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.store.driver import Doc
from pipeline.updates import OPEN_JOB

ON_DEMAND: dict[str, IndexModel] = {
    "batch": IndexModel(
        [("batch", ASCENDING), ("state", ASCENDING), ("_id", DESCENDING)],
        name="batch",
        partialFilterExpression={"batch": {"$exists": True}},
    ),
    "deadline": IndexModel(
        [("deadline", ASCENDING)],
        name="deadline",
        partialFilterExpression={"state": {"$in": list(OPEN_JOB)}, "deadline": {"$type": "date"}},
    ),
    "failures": IndexModel(
        [
            ("state", ASCENDING),
            ("discarded_at", ASCENDING),
            ("tenant", ASCENDING),
            ("pipeline", ASCENDING),
            ("error.stage", ASCENDING),
            ("error.type", ASCENDING),
            ("finished_at", ASCENDING),
        ],
        name="failures",
        partialFilterExpression={"state": "failed"},
    ),
    "skipping": IndexModel(
        [
            ("pipeline", ASCENDING),
            ("skip", ASCENDING),
            ("priority", DESCENDING),
            ("created_at", ASCENDING),
        ],
        name="skipping",
        partialFilterExpression={"state": "submitted", "skip": {"$exists": True}},
    ),
    "stray": IndexModel(
        [("admit_by", ASCENDING)],
        name="stray",
        partialFilterExpression={"state": "submitted", "admit_by": {"$type": "date"}},
    ),
}
"""On `jobs`, by name."""

LONGEST_BUILD = 3600.0
"""Seconds: a large collection takes minutes. The server would give up by the usual timeout, at each try."""


class OnDemand:
    """The indexes of `jobs` that not everybody needs. Not inside of a transaction."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._jobs = db["jobs"]
        self._present: set[str] = set()

    async def require(self, name: str) -> None:
        """Make an index unless it is there; asked once by a process."""
        if name not in self._present:
            with pymongo.timeout(LONGEST_BUILD):
                await self._jobs.create_indexes([ON_DEMAND[name]])
            self._present.add(name)

    async def has(self, name: str) -> bool:
        """Tell whether anybody has made an index: if not, nothing is there that it would find."""
        if name not in self._present and name in await self._jobs.index_information():
            self._present.add(name)
        return name in self._present
