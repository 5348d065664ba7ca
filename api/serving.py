"""What `millrace api` runs. Apart from the worker's process, which starts faster without an HTTP server."""

import asyncio
import socket
from collections.abc import Sequence
from types import FrameType

import anyio
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.services import Services
from pipeline import telemetry
from pipeline.cycles import search_seldom
from pipeline.errors import MillraceError
from pipeline.settings import ApiSettings, StoreSettings
from pipeline.stage import Pipeline
from pipeline.store import Store

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_STOP_SECONDS = 5
_DATE_AGE = 1.0
"""Seconds after which the responses' Date header is made anew: it tells seconds."""


class Server(uvicorn.Server):
    """An HTTP server that ends its event streams when it stops, instead of waiting for their readers.

    While nobody asks for anything it is awake once a second, not ten times.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(app, host, port, log_config=None, timeout_graceful_shutdown=_STOP_SECONDS)
        )
        self._app = app
        self._told_to_exit = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Wait until the server is told to exit."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # the library's: of its ten a second, one makes the date
            with anyio.move_on_after(_DATE_AGE):
                await self._told_to_exit.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Exit soon. Called from a signal handler, which alone doesn't wake the loop."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told_to_exit.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        services: Services = self._app.state.services
        services.feed.close()
        await super().shutdown(sockets)


async def _check_database() -> None:
    """Fail here, as every other command does, instead of inside the HTTP server's start."""
    async with Store(StoreSettings()):
        pass


def run_api(pipelines: Sequence[Pipeline], host: str, port: int, *, unprotected: bool) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises:
        MillraceError: the address can be reached from outside, and that was not allowed explicitly.
        StoreError: the database can't be used.
    """
    if host not in LOOPBACK and not unprotected:
        raise MillraceError(
            f"{host} can be reached from other machines, and this API asks nobody for a key. Bind 127.0.0.1 "
            "and put a proxy that authenticates before it, or pass --unprotected if the network is trusted."
        )
    search_seldom()
    anyio.run(_check_database)
    telemetry.configure("millrace-api")
    app = create_app(pipelines, settings=ApiSettings())
    Server(app, host, port).run()
