"""A proxy that drops a connection when the server has done what it was asked, before it can say so."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from struct import Struct
from typing import Any

import anyio
import bson
from anyio.abc import ByteStream, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

_HEADER = Struct("<iiii")
"""Length, request id, id of the request that is answered, opcode."""
_OP_MSG = 2013
_SECTIONS_AT = _HEADER.size + 4
"""After the header and the flags."""
_LARGEST = 64 * 1024 * 1024


Doc = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asks of the server."""

    name: str
    """insert, update, commitTransaction …"""
    target: str
    """The collection, of a command that has one."""
    body: Doc
    """The whole command, with the statements of an update under `updates` and so on."""


Wanted = Callable[[Command], bool]


class Drops:
    """Drops the answers to wanted commands: of some, or of all for a time that begins with the first."""

    def __init__(self, wanted: Wanted, *, times: int | None = None, seconds: float = 0) -> None:
        self._wanted = wanted
        self._times = times
        self._seconds = seconds
        self.count = 0
        self.first = anyio.Event()
        self.over = anyio.Event()

    def __call__(self, command: Command) -> bool:
        """Tell whether this command's answer is to be dropped."""
        if self.over.is_set() or not self._wanted(command):
            return False
        if not self.first.is_set():
            self.first.set()
            self._until = anyio.current_time() + self._seconds
        if self._times is None and anyio.current_time() > self._until:
            self.over.set()
            return False
        self.count += 1
        if self.count == self._times:
            self.over.set()
        return True


def seeded(seed: int, probability: float) -> Wanted:
    """Want any command with some probability; the same seed makes the same choices."""
    choices = random.Random(seed)
    return lambda _: choices.random() < probability


class DroppingProxy:
    """Connect to `uri`: it is the server, but for the answers that `drops` takes."""

    def __init__(self, port: int, upstream: int) -> None:
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        self.drops = Drops(lambda _: False)
        self._upstream = upstream

    async def serve(self, client: SocketStream) -> None:
        """Carry one connection until either side ends it, or an answer is dropped."""
        doomed: set[int] = set()
        async with client, await anyio.connect_tcp("127.0.0.1", self._upstream) as server:
            async with anyio.create_task_group() as group:

                async def requests() -> None:
                    async for message in _messages(client):
                        command = _command(message)
                        if command is not None and self.drops(command):
                            doomed.add(_HEADER.unpack_from(message)[1])
                        await server.send(message)
                    group.cancel_scope.cancel()

                group.start_soon(requests)
                async for message in _messages(server):
                    if _HEADER.unpack_from(message)[2] in doomed:
                        break
                    await client.send(message)
                group.cancel_scope.cancel()


@asynccontextmanager
async def dropping_proxy(upstream: int) -> AsyncIterator[DroppingProxy]:
    """Serve before a mongod on a loopback port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        proxy = DroppingProxy(listener.extra(anyio.abc.SocketAttribute.local_port), upstream)
        group.start_soon(listener.serve, proxy.serve)
        yield proxy
        group.cancel_scope.cancel()


async def _messages(stream: ByteStream) -> AsyncIterator[bytes]:
    """Yield whole messages until the stream ends."""
    buffered = BufferedByteReceiveStream(stream)
    try:
        while True:
            header = await buffered.receive_exactly(_HEADER.size)
            length = _HEADER.unpack(header)[0]
            if not _HEADER.size <= length <= _LARGEST:
                raise ValueError(f"a message of {length} bytes")
            yield header + await buffered.receive_exactly(length - _HEADER.size)
    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
        return


def _command(message: bytes) -> Command | None:
    """Read a message's sections: one body, and any number of sequences of statements (kind 1)."""
    if _HEADER.unpack_from(message)[3] != _OP_MSG:
        return None
    body: Doc = {}
    statements: Doc = {}
    at = _SECTIONS_AT
    while at < len(message):
        kind, at = message[at], at + 1
        size = int.from_bytes(message[at : at + 4], "little")
        if kind == 0:
            body = bson.decode(message[at : at + size])
        else:
            named = message.index(b"\0", at + 4)
            statements[message[at + 4 : named].decode()] = bson.decode_all(message[named + 1 : at + size])
        at += size
    name = next(iter(body))
    return Command(name, body[name] if isinstance(body[name], str) else "", body | statements)
