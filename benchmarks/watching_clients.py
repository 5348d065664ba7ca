"""Clients of event streams, in a process of their own: `python -m benchmarks.watching_clients --port N`.

Reads the paths that they watch from standard input, a JSON list in one line; says `ready` when each has heard
its first event; reads how many arrivals there will be, and waits for them; then prints what they heard as one
JSON object. Progress events carry, as `done`, the time at which they were sent: the machine's monotonic clock
in microseconds, which all of its processes share.
"""

import asyncio
import json
import re
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

_STAMP = re.compile(rb'"done": ?(\d+)')
_EVENT_END = b"\n\n"
_AT_ONCE = 100
"""Connections that are opened at the same time."""
_SPARE_FILES = 100
_PATIENCE_SECONDS = 60.0
"""For what was written already."""


@dataclass(slots=True)
class Heard:
    """What all clients heard."""

    milliseconds: list[float] = field(default_factory=list)
    """From a stamp to the arrival of its bytes; one for each event at each client."""
    lost: int = 0
    """Connections that ended."""


class _Client(asyncio.Protocol):
    def __init__(self, path: str, heard: Heard, since: int) -> None:
        self.began = asyncio.get_running_loop().create_future()
        self._path = path
        self._heard = heard
        self._since = since
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 -- for the type checker
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = microseconds()
        text = self._rest + data
        end = text.rfind(_EVENT_END) + len(_EVENT_END)
        if end < len(_EVENT_END):
            self._rest = text
            return
        self._rest = text[end:]
        for stamp in _STAMP.findall(text, 0, end):
            if int(stamp) >= self._since:
                self._heard.milliseconds.append((now - int(stamp)) / 1000)
        if not self.began.done():
            self.began.set_result(text.startswith(b"HTTP/1.1 200 "))

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard.lost += 1
        if not self.began.done():
            self.began.set_result(False)


def microseconds() -> int:
    """Return the machine's monotonic time."""
    return time.monotonic_ns() // 1000


async def watch(port: int, paths: list[str]) -> Heard:
    """Let a client watch each path until as many events have arrived as standard input says then.

    Raises:
        RuntimeError: one was refused.
    """
    heard, slots, since = Heard(), asyncio.Semaphore(_AT_ONCE), microseconds()
    loop = asyncio.get_running_loop()

    async def begin(path: str) -> asyncio.Transport:
        async with slots:
            transport, client = await loop.create_connection(
                lambda: _Client(path, heard, since), "127.0.0.1", port
            )
            if not await client.began:
                raise RuntimeError(f"{path} was refused")
            return transport

    transports = await asyncio.gather(*(begin(path) for path in paths))
    print("ready", flush=True)  # noqa: T201 -- to the parent
    expected = int(await asyncio.to_thread(sys.stdin.readline))
    until = time.monotonic() + _PATIENCE_SECONDS
    while len(heard.milliseconds) < expected and time.monotonic() < until:  # noqa: ASYNC110 -- for nothing more to do
        await asyncio.sleep(0.05)
    told = Heard(heard.milliseconds, heard.lost)
    for transport in transports:
        transport.abort()
    return told


def main(port: Annotated[int, typer.Option()]) -> None:
    """Watch, and print what was heard."""
    paths: list[str] = json.loads(sys.stdin.readline())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, len(paths) + _SPARE_FILES), most))
    heard = asyncio.run(watch(port, paths))
    print(json.dumps({"milliseconds": heard.milliseconds, "lost": heard.lost}))  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
