"""The REST API under a real HTTP server, in the test's own loop."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from fastapi import FastAPI
from httpx_sse import ServerSentEvent, aconnect_sse

from api.app import create_app
from api.serving import Server
from pipeline.settings import ApiSettings, StoreSettings, WorkerSettings
from pipeline.stage import Pipeline
from pipeline.store import Store
from tests.support import COUNTING, running

Json = dict[str, Any]


class _Server(Server):
    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(app, host, port)
        self.up = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a watcher received it."""

    event: str
    id: str
    data: Json


@dataclass(frozen=True, slots=True)
class Api:
    """A running API, and a client of it."""

    http: httpx.AsyncClient
    port: int

    async def submit(self, content: bytes = b"one two three", name: str = "a.txt", **fields: str) -> Json:
        """Submit to the small pipeline; returns the job."""
        answer = await self.post(content, name, **fields)
        assert answer.status_code == 202, answer.text
        job: Json = answer.json()
        return job

    async def post(
        self, content: bytes = b"one two three", name: str = "a.txt", *, key: str | None = None, **fields: str
    ) -> httpx.Response:
        return await self.http.post(
            "/v1/jobs",
            files={"file": (name, content)},
            data={"pipeline": "counting", **fields},
            headers={"Idempotency-Key": key} if key else {},
        )

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @asynccontextmanager
    async def watch(self, path: str, last: str | None = None) -> AsyncIterator[AsyncIterator[Told]]:
        """Open an event stream."""
        headers = {"Last-Event-ID": last} if last else {}
        async with aconnect_sse(self.http, "GET", path, headers=headers) as source:
            assert source.response.status_code == 200, await source.response.aread()
            yield (_told(each) async for each in source.aiter_sse())

    async def ended(self, job: str, last: str | None = None) -> list[Told]:
        """Watch a job to its end; returns everything that was told."""
        with anyio.fail_after(60):
            async with self.watch(f"/v1/jobs/{job}/events", last) as events:
                return [event async for event in events]


def _told(event: ServerSentEvent) -> Told:
    # `end` has no id of its own; the client gives it the one before.
    return Told(event.event, "" if event.event == "end" else event.id, json.loads(event.data))


@asynccontextmanager
async def serving(
    store: StoreSettings,
    pipelines: tuple[Pipeline, ...] = (COUNTING,),
    settings: ApiSettings | None = None,
    worker: WorkerSettings | None = None,
) -> AsyncIterator[Api]:
    """Run the application on a free loopback port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = _Server(create_app(pipelines, store, settings, worker=worker), "127.0.0.1", port)
    with listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            with anyio.fail_after(30):
                await server.up.wait()
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
                try:
                    yield Api(http, port)
                finally:
                    server.should_exit = True


@asynccontextmanager
async def api(store: Store, settings: ApiSettings | None = None) -> AsyncIterator[Api]:
    """The API and a worker of the small pipeline."""
    async with running(store, COUNTING), serving(store.settings, settings=settings) as served:
        yield served
