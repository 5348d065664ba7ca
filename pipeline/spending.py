"""A request to a service outside that is paid for, from before it is made until what it took is recorded."""

from typing import Any, Self

from pipeline.attempt_services import AttemptServices
from pipeline.usage import Spent


class Spending:
    """One request, made within `async with`; see `StageContext.spending`."""

    def __init__(self, services: AttemptServices, likely: Spent) -> None:
        self._services = services
        self._likely = likely
        self._request: Any = None
        self._free = False
        self._told = False

    async def __aenter__(self) -> Self:
        """Note it. When this returns the attempt surely holds its task."""
        self._request = await self._services.ask(self._likely)
        try:
            await self._services.trusted()  # the note may have waited for the database
        except BaseException:
            await self._services.give_up(self._request, free=True)
            raise
        return self

    async def took(self, spent: Spent) -> None:
        """Record what it took, in the place of what was likely; durable when this returns."""
        await self._services.spend(spent, self._request)
        self._told = True

    def free(self) -> None:
        """It is known that nothing is paid for it, as it was refused."""
        self._free = True

    async def __aexit__(self, *_: object) -> None:
        """Settle it, if it isn't."""
        if not self._told:
            await self._services.give_up(self._request, free=self._free)
