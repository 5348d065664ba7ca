"""Rates: what is in their buckets, by the server's clock, in the documents where claims under limits meet.

A bucket is what was in it at one time; what has flown back since is reckoned when it is looked at. So it
holds for all workers together, and nobody's start or death fills it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.limit import Account, Limit, Rate
from pipeline.store.driver import Doc, translated


class Rates:
    """The buckets in the collection `permits`."""

    def __init__(self, db: AsyncDatabase[Doc]) -> None:
        self._permits = db["permits"]

    @translated
    async def left(
        self, limits: Mapping[str, Limit], session: AsyncClientSession | None = None
    ) -> tuple[dict[Account, float], datetime | None]:
        """Return what is in the buckets of these subjects now, and the server's time.

        None when nothing was ever claimed under any of them: then all of them are full.
        """
        rated = [subject for subject, limit in limits.items() if limit.rates]
        left = {
            (each, unit): float(rate.amount) for each in rated for unit, rate in limits[each].rates.items()
        }
        now: datetime | None = None
        found = self._permits.find({"_id": {"$in": rated}}, {"buckets": 1, "now": "$$NOW"}, session=session)
        async for each in found:
            now = each["now"]
            for unit, bucket in each.get("buckets", {}).items():
                rate = limits[each["_id"]].rates.get(unit)
                if rate is not None:
                    seconds = (now - bucket["at"]).total_seconds()
                    left[each["_id"], unit] = rate.left(bucket["left"], seconds)
        return left, now

    async def put(self, left: Mapping[Account, float], now: datetime, session: AsyncClientSession) -> None:
        """Write what is in these buckets now, in a claim's transaction, which has written them before."""
        writes = [
            UpdateOne({"_id": subject}, {"$set": {f"buckets.{unit}": {"left": each, "at": now}}})
            for (subject, unit), each in left.items()
        ]
        await self._permits.bulk_write(writes, ordered=False, session=session)

    @translated
    async def settle(self, given_back: Mapping[Account, int], rates: Mapping[Account, Rate]) -> None:
        """Put back into buckets what was not used, or take out what was used besides: below zero, if need be.

        Raises:
            StoreUnavailable: the database is away; it may have been done.
        """
        writes = [
            UpdateOne(
                {"_id": subject, f"buckets.{unit}.at": {"$type": "date"}},
                [{"$set": {f"buckets.{unit}": _settled(unit, rates[subject, unit], amount)}}],
            )
            for (subject, unit), amount in given_back.items()
        ]
        await self._permits.bulk_write(writes, ordered=False)


def _settled(unit: str, rate: Rate, given_back: int) -> dict[str, Any]:
    """Expression: a bucket as it is now, with what is given back."""
    seconds = {"$divide": [{"$subtract": ["$$NOW", f"$buckets.{unit}.at"]}, 1000]}
    flown = {"$multiply": [{"$max": [0, seconds]}, rate.amount / rate.per]}
    now = {"$min": [rate.amount, {"$add": [f"$buckets.{unit}.left", flown]}]}
    return {"left": {"$min": [rate.amount, {"$add": [now, given_back]}]}, "at": "$$NOW"}
