"""Clients that send one request over and over, as fast as it is answered, over kept connections."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answered:
    """What clients have got."""

    count: int = 0
    seconds: list[float] = field(default_factory=list)
    """How long each answer took."""
    refused: dict[int, int] = field(default_factory=dict)
    """Other statuses than the one that was expected, with how often."""


def multipart(path: str, content: bytes, fields: dict[str, str]) -> bytes:
    """Return the bytes of a POST of a document, and of form fields before it."""
    boundary = "----millrace-benchmark"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = b"".join([*parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])
    headers = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return headers.encode() + body


async def load(port: int, request: bytes, *, clients: int, seconds: float, expected: int) -> Answered:
    """Let so many clients send the request for so long; returns what was answered in that time.

    Raises:
        RuntimeError: an answer had another status.
    """
    answered = Answered()
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_client(port, request, until, expected, answered))
    if answered.refused:
        raise RuntimeError(f"answers with other statuses than {expected}: {answered.refused}")
    return answered


async def _client(port: int, request: bytes, until: float, expected: int, answered: Answered) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        while (begun := time.perf_counter()) < until:
            writer.write(request)
            await writer.drain()
            status = await _status(reader)
            now = time.perf_counter()
            if status != expected:
                answered.refused[status] = answered.refused.get(status, 0) + 1
            elif now <= until:
                answered.count += 1
                answered.seconds.append(now - begun)
    finally:
        writer.close()
        await writer.wait_closed()


async def _status(reader: asyncio.StreamReader) -> int:
    """Read one answer that says its length; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(status.split()[1])
