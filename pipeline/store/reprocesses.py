"""Many ended jobs that run again, as one batch, which remembers how far that is.

Each page of jobs begins in one transaction with the batch's own record: whoever goes on later, or at the same
time, begins after them. So no job begins twice for one batch, and a batch that was cancelled begins no more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.crashpoints import crash_point
from pipeline.errors import NotFound
from pipeline.model import Anew
from pipeline.rerun import Asked, Past, decided
from pipeline.runs import result_revision
from pipeline.store.driver import Doc, translated
from pipeline.store.reruns import Reruns
from pipeline.updates import OPEN_JOB

AT_ONCE = 20
"""Jobs that are looked at, and may begin, in one transaction: it holds their locks for some milliseconds."""

EXAMPLES = 20
"""Jobs that are named of those that can't run again."""

_FIELDS = {"pipeline": "pipeline", "type": "document.type", "batch": "batch"}
_NO_BYTES = {"document.inline": 0}
_MEASURES: Doc = {
    "pages": {"$cond": [{"$isArray": "$body.pages"}, {"$size": "$body.pages"}, None]},
    "tokens": "$body.usage.total_tokens",
    "input": "$body.usage.prompt_tokens",
    "output": "$body.usage.completion_tokens",
    "whole": {"$ne": [{"$type": "$body"}, "missing"]},
}


class Reprocesses:
    """Verbs over batches that have a `reprocess`, and over what one would do.

    `which` has `state`, and may have `pipeline`, `type`, `batch`, `since` and `until`.
    """

    def __init__(self, db: AsyncDatabase[Doc], reruns: Reruns) -> None:
        self._db = db
        self._reruns = reruns

    @translated
    async def ended(
        self, tenant: str, which: Mapping[str, Any], after: str, limit: int
    ) -> tuple[list[Past], set[str]]:
        """Return some ended jobs with their pasts, in the order of their ids; and batches that go on."""
        jobs = await self._page(tenant, which, after, limit)
        return await self._reruns.pasts(jobs), await self._busy(jobs)

    @translated
    async def open(self, tenant: str, which: Mapping[str, Any], limit: int) -> list[str]:
        """Return jobs that would be among them, but have not ended; at most `limit`."""
        query = {**_query(tenant, which), "state": {"$in": list(OPEN_JOB)}}
        return [each["_id"] async for each in self._db["jobs"].find(query, {"_id": 1}).limit(limit)]

    @translated
    async def measures(self, outputs: Sequence[str]) -> dict[str, Doc]:
        """Return of outputs, by id: `pages`; `tokens`, `input` and `output` of their usage; `whole`.

        That is whether their body is here.
        """
        stages: list[Mapping[str, Any]] = [
            {"$match": {"_id": {"$in": list(outputs)}}},
            {"$project": _MEASURES},
        ]
        return {each["_id"]: each async for each in await self._db["outputs"].aggregate(stages)}

    @translated
    async def go_on(self, batch: str, tenant: str, session: AsyncClientSession) -> Doc:
        """Look at the next jobs of a reprocess, and run again what would be other; returns the batch then.

        In one transaction of a session that `session` gave. The last page closes the batch.

        Raises:
            NotFound: this tenant has no such reprocess.
        """

        async def run(session: AsyncClientSession) -> Doc:
            found = await self._db["batches"].find_one({"_id": batch, "tenant": tenant}, session=session)
            if found is None or "reprocess" not in found:
                raise NotFound(f"there is no reprocess {batch}")
            if found["state"] != "running" or found.get("cancelled") or found["reprocess"]["done"]:
                return found
            return await self._next_page(found, session)

        return await self._reruns.transaction(run, session)

    async def _next_page(self, batch: Doc, session: AsyncClientSession) -> Doc:
        progress = batch["reprocess"]
        request, which = progress["request"], progress["request"]["which"]
        anew: Anew = "all" if request["force"] else "changed"
        asked = Asked(request["stage"], request["params"], anew)
        jobs = await self._page(batch["tenant"], which, progress["cursor"], AT_ONCE, session)
        busy = await self._busy(jobs, session)
        begun, refused = [], []
        for past in await self._reruns.pasts(jobs, session):
            decision = decided(past, asked, busy)
            if isinstance(decision, dict):
                begun.append((past, decision, _fields(past, batch)))
            elif decision is not None:
                refused.append({"job": past.job["_id"], "why": decision})
        after = {
            "cursor": jobs[-1]["_id"] if jobs else progress["cursor"],
            "done": len(jobs) < AT_ONCE,
            "begun": progress["begun"] + len(begun),
            "refused": progress["refused"] + len(refused),
            "unchanged": progress["unchanged"] + len(jobs) - len(begun) - len(refused),
            "examples": [*progress["examples"], *refused][:EXAMPLES],
        }
        fields = {f"reprocess.{name}": value for name, value in after.items()}
        if after["done"]:
            fields["total"] = after["begun"]
        # Of two at the same time, one meets the other's write here, and begins anew.
        await self._db["batches"].update_one({"_id": batch["_id"]}, {"$set": fields}, session=session)
        if begun:
            await self._reruns.begin(begun, session)
        crash_point("reprocess.written", lambda: [batch["_id"]])
        return {**batch, "reprocess": {**progress, **after}}

    async def _page(
        self,
        tenant: str,
        which: Mapping[str, Any],
        after: str,
        limit: int,
        session: AsyncClientSession | None = None,
    ) -> list[Doc]:
        query = {**_query(tenant, which), "state": which["state"], "_id": {"$gt": after}}
        found = self._db["jobs"].find(query, _NO_BYTES, session=session).sort("_id", 1).limit(limit)
        return await found.to_list()

    async def _busy(self, jobs: Sequence[Doc], session: AsyncClientSession | None = None) -> set[str]:
        batches = sorted({each["batch"] for each in jobs if each.get("batch")})
        if not batches:
            return set()
        query = {"_id": {"$in": batches}, "state": "running"}
        return {each["_id"] async for each in self._db["batches"].find(query, {"_id": 1}, session=session)}


def _fields(past: Past, batch: Doc) -> Doc:
    """Return what is set in a job that runs again for a batch; with `hold` its result stays what it is."""
    result = result_revision(past.job, past.tasks) if batch["reprocess"]["request"]["hold"] else None
    return {"batch": batch["_id"], **({} if result is None else {"promoted": result})}


def _query(tenant: str, which: Mapping[str, Any]) -> Doc:
    query: Doc = {"tenant": tenant}
    query |= {field: which[name] for name, field in _FIELDS.items() if which.get(name) is not None}
    times = {"$gte": which.get("since"), "$lte": which.get("until")}
    given = {name: time for name, time in times.items() if time is not None}
    return {**query, "created_at": given} if given else query
