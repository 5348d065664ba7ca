"""A replica set whose members can be killed, paused and cut off; three of them unless told otherwise."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.abc import Process
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from pipeline.embedded import find_mongod
from pipeline.tether import tethered
from tests.network import Network, network

NAME = "faults"
ELECTION = 2.0
"""Seconds without a primary after which the others elect one."""
_LOOK_AGAIN = 0.05
_PORT = 27017
"""Of a member that has an address of its own."""

Doc = dict[str, Any]


class Member:
    """One mongod with a folder and an address that it keeps over restarts."""

    def __init__(self, host: str, port: int, folder: Path, inside: Sequence[str] = ()) -> None:
        self.host, self.port, self.folder = host, port, folder
        self.inside = list(inside)
        """Words before a command line that run it in this member's place in the network."""
        self._process: Process | None = None
        self._direct: AsyncMongoClient[Doc] = AsyncMongoClient(
            host, port, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=2000
        )

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Start it; it need not be of use yet when this returns."""
        folder = self.folder / "data"
        folder.mkdir(parents=True, exist_ok=True)
        command = [*self.inside, find_mongod(), "--dbpath", str(folder), *_options(self)]
        self._process = await anyio.open_process(
            tethered(command), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )

    async def kill(self) -> None:
        """SIGKILL, also of a paused one; returns when it is gone."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait until the process has ended, by whatever; returns its exit code."""
        assert self._process is not None
        return await self._process.wait()

    def pause(self) -> None:
        """Stop it in its tracks: its connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def run(self, command: Doc) -> Doc:
        """Run an administrative command on this very member.

        Raises:
            AutoReconnect: it doesn't answer.
        """
        return await self._direct.admin.command(command)

    async def is_primary(self) -> bool:
        """Tell whether it is the primary, and has been able to write as one."""
        try:
            return bool((await self.run({"hello": 1})).get("isWritablePrimary"))
        except PyMongoError:
            return False

    async def synced(self) -> None:
        """Wait until it serves, as primary or secondary."""
        while True:
            with suppress(PyMongoError):
                hello = await self.run({"hello": 1})
                if hello.get("isWritablePrimary") or hello.get("secondary"):
                    return
            await anyio.sleep(_LOOK_AGAIN)

    async def close(self) -> None:
        await self._direct.close()
        if self._process is not None:
            await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


class ReplicaSet:
    """Members that elect a primary among them."""

    def __init__(self, members: list[Member], net: Network | None) -> None:
        self.members = members
        self._network = net

    @property
    def uri(self) -> str:
        addresses = ",".join(member.address for member in self.members)
        return f"mongodb://{addresses}/?replicaSet={NAME}"

    def others(self, member: Member) -> list[Member]:
        return [each for each in self.members if each is not member]

    async def primary(self, among: Collection[Member] | None = None) -> Member:
        """Wait until one of these members is the primary."""
        with anyio.fail_after(60):
            while True:
                for member in among or self.members:
                    if await member.is_primary():
                        return member
                await anyio.sleep(_LOOK_AGAIN)
        raise AssertionError("not reached")

    async def step_down(self, seconds: int = 5) -> Member:
        """Have the primary step down, and stay so for some seconds; returns it."""
        member = await self.primary()
        await member.run({"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 2, "force": True})
        return member

    async def partition(self, members: Collection[Member]) -> None:
        """Cut members off from the others and from this process."""
        assert self._network is not None, "open the replica set with networks=True"
        hosts = {member.host for member in members}
        await self._network.partition([node for node in self._network.nodes if node.address in hosts])

    async def heal(self) -> None:
        """End a partition."""
        assert self._network is not None
        await self._network.heal()

    async def initiate(self) -> None:
        config = {
            "_id": NAME,
            "members": [
                {"_id": number, "host": member.address} for number, member in enumerate(self.members)
            ],
            "settings": {"electionTimeoutMillis": int(ELECTION * 1000), "heartbeatIntervalMillis": 500},
        }
        with anyio.fail_after(60):
            while True:
                try:
                    await self.members[0].run({"replSetInitiate": config})
                except (AutoReconnect, OperationFailure):  # not every member listens yet
                    await anyio.sleep(_LOOK_AGAIN)
                else:
                    break
        await self.primary()
        with anyio.fail_after(60):
            for member in self.members:
                await member.synced()


@asynccontextmanager
async def replica_set(folder: Path, *, members: int = 3, networks: bool = False) -> AsyncIterator[ReplicaSet]:
    """Start members on loopback, or with a network each; a primary is elected when this yields."""
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(network(members)) if networks else None
        started = [
            Member(node.address, _PORT, folder / node.link, node.inside)
            for node in (net.nodes if net else [])
        ] or [Member("127.0.0.1", free_port(), folder / str(number)) for number in range(members)]
        for member in started:
            stack.push_async_callback(member.close)
            await member.start()
        running = ReplicaSet(started, net)
        await running.initiate()
        yield running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _options(member: Member) -> list[str]:
    return [
        *("--port", str(member.port)),
        *("--bind_ip", f"localhost,{member.host}" if member.inside else "127.0.0.1"),
        *("--replSet", NAME),
        *("--oplogSize", "64"),
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--networkMessageCompressors", "snappy,zstd"),
        *("--nounixsocket", "--logappend", "--logpath", str(member.folder / "mongod.log")),
        *("--setParameter", "enableTestCommands=1"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
