"""The server's clock, as this process knows it: for documents that are created with a lease.

An update reads the server's time itself (`$$NOW`); an insert can't, and costs a third. So every worker
keeps an estimate, taken anew with each sign of life. It errs to one side: it is never ahead of the
server's clock at the time of the sample, so that a lease ends early by a round trip rather than late.
"""

import time
from datetime import datetime, timedelta

from bson.timestamp import Timestamp

LONGEST_ROUND_TRIP = 0.5
"""Seconds that a sample may have taken: the estimate is off by as much."""
STEP = 2.0
"""Seconds by which the set's history may be ahead of the estimate before the server's clock has jumped."""


class ServerClock:
    """An estimate that is good for some seconds."""

    def __init__(self, good_for: timedelta) -> None:
        self._good_for = good_for.total_seconds()
        self._sample: tuple[datetime, float] | None = None

    def sample(self, server_time: datetime, sent: float) -> None:
        """Note what the server's clock showed between `sent`, a monotonic time, and now."""
        received = time.monotonic()
        if received - sent <= LONGEST_ROUND_TRIP:
            self._sample = (server_time, received)

    def check(self, operation_time: Timestamp | None) -> None:
        """Forget the estimate if the history of the set is ahead of it: the server's clock was set."""
        now = self.now()
        if now is not None and operation_time is not None:
            ahead = operation_time.time - now.timestamp()
            if ahead > STEP:
                self._sample = None

    def now(self) -> datetime | None:
        """Return the server's time; None when nobody knows."""
        if self._sample is None:
            return None
        server_time, received = self._sample
        age = time.monotonic() - received
        return None if age > self._good_for else server_time + timedelta(seconds=age)
