"""A local endpoint on a real socket that answers as it is told, wrongly where it is told so."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

Say = Callable[[SocketStream], Awaitable[None]]
"""Writes a response to one request, or breaks off, or never ends."""

ANSWER: dict[str, Any] = {
    "type": "invoice",
    "title": "Invoice 17",
    "summary": "Alder owes Birch 5 EUR.",
    "fields": [{"name": "Total", "value": "5.00", "page": 1, "quote": "Total EUR 5.00"}],
}


@dataclass
class Request:
    """What the client sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class FaultServer:
    """Gives the answers in order; the last one again and again."""

    answers: Sequence[Say]
    base_url: str = ""
    requests: list[Request] = field(default_factory=list)
    tokenize: Say | None = None
    """How it counts tokens; it has no such route where this is None."""
    counted: list[Request] = field(default_factory=list)
    """Requests for that, which are not among the others."""
    connections: int = 0
    """Open now."""
    _closed: anyio.Condition = field(default_factory=anyio.Condition)

    async def wait_until_closed(self) -> None:
        """Return when the client has closed every connection; TimeoutError when it keeps one."""
        with anyio.fail_after(20):
            async with self._closed:
                while self.connections:
                    await self._closed.wait()

    async def handle(self, stream: SocketStream) -> None:
        """Serve one connection until the client closes it or the answer breaks it off."""
        self.connections += 1
        try:
            async with stream:
                received = BufferedByteReceiveStream(stream)
                while True:
                    await self._answer(await _request(received), stream)
        except (
            anyio.IncompleteRead,
            anyio.EndOfStream,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ):
            pass  # one side has closed it
        finally:
            with anyio.CancelScope(shield=True):
                async with self._closed:
                    self.connections -= 1
                    self._closed.notify_all()

    async def _answer(self, request: Request, stream: SocketStream) -> None:
        if request.path == "/tokenize":
            self.counted.append(request)
            await (self.tokenize or status(404))(stream)
            return
        self.requests.append(request)
        await self.answers[min(len(self.requests), len(self.answers)) - 1](stream)


@asynccontextmanager
async def fault_server(*answers: Say) -> AsyncIterator[FaultServer]:
    """Run the server on a free loopback port."""
    server = FaultServer(answers)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    server.base_url = f"http://127.0.0.1:{port}/v1"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.handle)
        yield server
        group.cancel_scope.cancel()


def status(code: int, body: bytes | str = b"", /, **headers: str) -> Say:
    """Answer with a status, a body and headers, underscores in names being dashes."""
    content = body.encode() if isinstance(body, str) else body
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def say(stream: SocketStream) -> None:
        await stream.send(f"HTTP/1.1 {code} X\r\ncontent-length: {len(content)}\r\n{head}\r\n".encode())
        await stream.send(content)

    return say


def error(status_code: int, /, **details: Any) -> Say:
    """Answer with an API's error object."""
    return status(status_code, json.dumps({"error": {"message": "SECRET TEXT", **details}}))


def says(text: Any, finish: str = "stop", **message: Any) -> Say:
    """Answer with a chat completion of this text; another value is its JSON."""
    content = text if isinstance(text, str) else json.dumps(text)
    body = {
        "model": "served",
        "choices": [{"message": {"content": content, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }
    return status(200, json.dumps(body), content_type="application/json")


USAGE = {"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": 50}


def delta(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return one piece of a streamed answer."""
    return {"choices": [{"index": 0, "delta": {"content": content, **delta}, "finish_reason": finish}]}


def pieces(text: Any, *, usage: dict[str, int] | None = USAGE, finish: str = "stop") -> list[Any]:
    """Return a whole streamed answer, in pieces of eight characters."""
    content = text if isinstance(text, str) else json.dumps(text)
    parts = [delta(content[start : start + 8]) for start in range(0, len(content), 8)]
    told = [] if usage is None else [{"choices": [], "model": "served", "usage": usage}]
    return [*parts, delta(finish=finish), *told, "[DONE]"]


def streams(*sent: Any, then: Say | None = None) -> Say:
    """Answer with these events, each a text or JSON; then end, or go on as told."""

    async def say(stream: SocketStream) -> None:
        await stream.send(
            b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for each in sent:
            event = f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n".encode()
            await stream.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await (then(stream) if then else stream.send(b"0\r\n\r\n"))

    return say


async def goes(stream: SocketStream) -> None:
    """Close in the middle."""
    await stream.aclose()


def forever(event: Any) -> Say:
    """Go on with the same event without an end, as fast as it is taken."""

    async def say(stream: SocketStream) -> None:
        sent = f"data: {json.dumps(event)}\n\n".encode() * 100
        while True:
            await stream.send(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")

    return say


async def hangs(stream: SocketStream) -> None:
    """Say nothing until the client goes."""
    await stream.receive()


async def breaks_off(stream: SocketStream) -> None:
    """Announce more than is sent, then close."""
    await stream.send(b'HTTP/1.1 200 X\r\ncontent-length: 900\r\n\r\n{"choices": [{"mess')
    await stream.aclose()


def endless(code: int) -> Say:
    """Send a body without an end, as fast as it is taken."""

    async def say(stream: SocketStream) -> None:
        await stream.send(f"HTTP/1.1 {code} X\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        while True:
            await stream.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    return say


async def trickles(stream: SocketStream) -> None:
    """Send one byte after the other, for ever: no wait for a byte is long."""
    await stream.send(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await stream.send(b"1\r\n \r\n")
        await anyio.lowlevel.checkpoint()


async def _request(received: BufferedByteReceiveStream) -> Request:
    head = (await received.receive_until(b"\r\n\r\n", 65536)).decode()
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await received.receive_exactly(int(headers.get("content-length", "0")))
    return Request(path=first.split()[1], headers=headers, body=json.loads(body))
