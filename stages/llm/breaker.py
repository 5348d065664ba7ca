"""Holds requests back from an endpoint that is away, so that nobody's attempts are spent on it."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from pipeline import Snooze

FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=5)
"""The pause after the first failure, and the longest; each failure in a row doubles it."""
LEAST = timedelta(seconds=1)
"""Also where an endpoint asks for no pause at all: a snooze costs nothing, so it must not spin."""
IN_A_ROW = 3
"""Failures that may each be their document's fault, until together they are the endpoint's."""


class Breaker:
    """Of one endpoint and model, in one worker process. Open: requests wait; then one tries for all.

    `now` tells seconds that only grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._open_until: float | None = None
        self._trying = False
        self._why = ""

    @contextmanager
    def request(self) -> Iterator[None]:
        """Enclose one request.

        Raises:
            Snooze: the endpoint is being left alone; until when, and why, it says.
        """
        trying = self._open_until is not None
        if self._open_until is not None:
            left = self._open_until - self._now()
            if left > 0 or self._trying:
                raise Snooze(_spread(max(timedelta(seconds=left), LEAST)), f"waiting as {self._why}")
        self._trying = self._trying or trying
        try:
            yield
        finally:
            if trying:
                self._trying = False

    def answered(self) -> None:
        """It answers: close."""
        self._failures = 0
        self._open_until = None

    def failed(self, why: str) -> None:
        """It failed in a way that may be the document's fault: open at the third in a row."""
        if not self._is_waiting():
            self._failures += 1
        if self._failures >= IN_A_ROW or self._open_until is not None:
            self._open(why, None)

    def away(self, why: str, wait: timedelta | None) -> Snooze:
        """It is away, or asks for a pause: open; returns what to raise."""
        if not self._is_waiting():  # others that failed at the same time are no further failure
            self._failures += 1
        return Snooze(_spread(self._open(why, wait)), why)

    def _is_waiting(self) -> bool:
        return self._open_until is not None and self._now() < self._open_until

    def _open(self, why: str, wait: timedelta | None) -> timedelta:
        doublings = max(0, min(self._failures - 1, 10))
        pause = max(min(FIRST * 2**doublings, LONGEST) if wait is None else wait, LEAST)
        until = self._now() + pause.total_seconds()
        self._open_until = max(until, self._open_until or until)
        self._why = why
        return pause


def _spread(delay: timedelta) -> timedelta:
    """Lengthen by up to a quarter: what waits for one endpoint should not come back at one moment."""
    return delay * random.uniform(1, 1.25)  # noqa: S311 -- jitter, no secret
