"""Fair shares between tenants: of equal priority, whoever has had least goes first.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): what a tenant begins moves its own clock on by one, and
one that comes back takes up the clock of those who were served meanwhile. Each worker does so for itself.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

MOST_TENANTS = 10_000
"""Of which it is remembered what they have had; the others begin like new ones."""


class Shares:
    """What one worker has begun, by tenant."""

    def __init__(self) -> None:
        self._clocks: dict[str, int] = {}
        self._now = 0

    def order(self, waiting: Sequence[T], tenant: Callable[[T], str]) -> list[T]:
        """Return what waits in the order in which to begin it; each tenant's own in the order as it was."""
        lines: dict[str, deque[T]] = defaultdict(deque)
        for each in waiting:
            lines[tenant(each)].append(each)
        if len(lines) < 2:
            return list(waiting)
        clocks = {name: self._clock(name) for name in lines}
        ordered: list[T] = []
        while lines:
            name = min(lines, key=clocks.__getitem__)
            ordered.append(lines[name].popleft())
            clocks[name] += 1
            if not lines[name]:
                del lines[name]
        return ordered

    def begin(self, tenants: Iterable[str]) -> None:
        """Something of each of these begins."""
        for each in tenants:
            self._now = self._clock(each)
            self._clocks[each] = self._now + 1
        if len(self._clocks) > MOST_TENANTS:
            self._clocks = {name: at for name, at in self._clocks.items() if at > self._now}

    def least(self, tenants: Collection[str], most: int) -> list[str]:
        """Return those of these tenants that have had least, at most so many."""
        if len(tenants) <= most:
            return list(tenants)
        return heapq.nsmallest(most, tenants, key=self._clock)

    def owed(self, tenant: str, waiting: Iterable[str]) -> bool:
        """Tell whether another tenant that waits has had less than this one."""
        own = self._clock(tenant)
        return any(each != tenant and self._clock(each) < own for each in waiting)

    def _clock(self, tenant: str) -> int:
        return max(self._clocks.get(tenant, 0), self._now)
