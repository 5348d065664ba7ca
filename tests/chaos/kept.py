"""Processes that are started again whenever they end."""

import os
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from subprocess import DEVNULL

import anyio
import psutil
from anyio.abc import Process

from pipeline.tether import tethered

PAUSE = 0.2
"""Seconds before the next one is started."""


class Kept:
    """One place in the fleet: `run` it in a task group."""

    def __init__(
        self,
        role: str,
        command: Callable[[str], list[str]],
        environment: dict[str, str],
        logs: Path,
        ended: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self.role = role
        self.name = ""
        """Of the present process; no two have the same."""
        self.pids: dict[int, str] = {}
        """The name of every process that there was."""
        self._command = command
        self._environment = {**os.environ, **environment}
        self._log = logs / f"{role}.log"
        self._ended = ended
        self._process: Process | None = None
        self._stopping = False

    async def run(self) -> None:
        """Keep it running until stopped or cancelled."""
        for number in count(1):
            self.name = f"{self.role}.{number}"
            code = await self._run_once(self._command(self.name))
            if self._stopping:
                return
            await self._ended(self.name, code)
            await anyio.sleep(PAUSE)

    async def stop(self) -> int | None:
        """Have it stop by itself, for good; returns its exit code, or None when it had to be killed."""
        self._stopping = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        process = self._process
        if process is not None:
            with anyio.move_on_after(40):
                return await process.wait()
        self.signal(signal.SIGKILL)
        return None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal, if it runs."""
        if self._process is None or self._process.returncode is not None:
            return False
        self._process.send_signal(number)
        return True

    def memory(self) -> int:
        """Return the bytes that it has resident; 0 when it doesn't run just now."""
        try:
            return 0 if self._process is None else psutil.Process(self._process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return 0

    def children(self) -> list[psutil.Process]:
        """Return its child processes."""
        try:
            return [] if self._process is None else psutil.Process(self._process.pid).children()
        except psutil.NoSuchProcess:
            return []

    async def _run_once(self, command: list[str]) -> int:
        async with await anyio.open_file(self._log, "ab") as log:
            process = await anyio.open_process(
                tethered(command),
                stdin=DEVNULL,
                stdout=log.wrapped,
                stderr=log.wrapped,
                env=self._environment,
            )
        self._process = process
        self.pids[process.pid] = self.name
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                with anyio.CancelScope(shield=True):
                    await process.wait()
