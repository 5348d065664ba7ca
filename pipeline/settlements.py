"""What attempts have really used, put back into the rates' buckets, or taken out of them besides.

Not with the outcome's transaction, which would meet every claim under that rate: the differences of what has
ended gather here, and are one write. What died with its process keeps what it reserved, as does what ended
while the database was away for longer than the driver tries again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

import anyio

from pipeline.cost import TASKS
from pipeline.errors import StoreUnavailable
from pipeline.limit import Account
from pipeline.limits import Limits
from pipeline.model import Outcome, Snoozed, Task
from pipeline.store.rates import Rates

_log = logging.getLogger("millrace.settlements")


class Settlements:
    """One worker's. `run` it in a task group, and `finish` in the end."""

    def __init__(self, rates: Rates, limits: Limits, wake: Callable[[], None]) -> None:
        self._rates = rates
        self._limits = limits
        self._wake = wake
        self._due: Counter[Account] = Counter()
        self._noted = anyio.Event()
        self._writing = anyio.Lock()

    def note(self, task: Task, used: Mapping[str, int], outcome: Outcome | None) -> None:
        """An attempt has ended that has told what it used of some units; itself it stays counted."""
        snoozed = isinstance(outcome, Snoozed)
        for account, reserved in task.reserved.items():
            unit = account[1]
            really = used.get(unit, 0 if snoozed else reserved)
            if unit != TASKS and really != reserved:
                self._due[account] += reserved - really
                self._noted.set()

    async def run(self) -> None:
        """Write what is noted until cancelled."""
        while True:
            await self._noted.wait()
            self._noted = anyio.Event()
            await self.finish()

    async def finish(self) -> None:
        """Write what is noted by now."""
        async with self._writing:
            due, self._due = self._due, Counter()
            rates = {account: rate for account in due if (rate := self._limits.rate(*account)) is not None}
            if not rates:
                return
            try:
                await self._rates.settle({account: due[account] for account in rates}, rates)
            except StoreUnavailable as error:
                _log.warning(
                    "what attempts have used is not settled, they keep what they reserved: %s", error
                )
                return
        if self._limits.refill(account for account in rates if due[account] > 0):
            self._wake()
