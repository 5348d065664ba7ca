"""Transactions that stand still right before they commit."""

from typing import Self

import anyio
import anyio.lowlevel

from pipeline.store import Store


class HeldCommits:
    """From its making on, whoever commits a transaction stands still before, with everything written."""

    POINT = "hangBeforeCommitingTxn"

    def __init__(self, store: Store) -> None:
        self._admin = store.db.client.admin
        self._before, self._were_aborted = 0, 0

    async def __aenter__(self) -> Self:
        self._were_aborted = await self._aborted()
        reply = await self._admin.command({"configureFailPoint": self.POINT, "mode": "alwaysOn"})
        self._before = int(reply["count"])
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._admin.command({"configureFailPoint": self.POINT, "mode": "off"})

    async def first(self) -> None:
        """Wait until somebody stands there."""
        wait = {"waitForFailPoint": self.POINT, "timesEntered": self._before + 1, "maxTimeMS": 30_000}
        await self._admin.command(wait)

    async def second(self) -> None:
        """Wait until somebody else met what that one has written, and was refused for now."""
        while await self._aborted() == self._were_aborted:
            await anyio.lowlevel.checkpoint()

    async def _aborted(self) -> int:
        status = await self._admin.command("serverStatus")
        return int(status["transactions"]["totalAborted"])
