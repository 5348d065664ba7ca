"""A network of its own for each member of a replica set, on one machine, that can be partitioned.

Every node is a network namespace with one link to a switch, which is a namespace too, with two bridges:
a partition moves links from the one to the other. The namespaces have no names and live as long as the
processes that hold them, which are tethered to the test's: whatever ends the test, nothing stays behind.
"""

import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import Process

from pipeline.tether import tethered

_NETWORKS = 256
"""Networks at once on this machine: 198.18.n.0/24, of the range that is meant for tests (RFC 2544)."""
_TOGETHER, _APART = "together", "apart"


def why_not() -> str | None:
    """Return why there can be no such network here; None when there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "nsenter", "unshare") if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)} (Debian: iproute2, util-linux)" if missing else None


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the network: its address, and how a program is run there."""

    address: str
    link: str
    """Its link's name at the switch."""
    inside: list[str]
    """Words before a command line that run it in this place."""


class Network:
    """Nodes that reach each other and this process, until they are partitioned."""

    def __init__(self, nodes: list[Node], switch: list[str]) -> None:
        self.nodes = nodes
        self._switch = switch

    async def partition(self, apart: Collection[Node]) -> None:
        """Cut these off from the others and from this process; among each other they stay connected."""
        for node in apart:
            await _run(self._switch, "ip", "link", "set", node.link, "master", _APART)

    async def heal(self) -> None:
        """Connect all again."""
        for node in self.nodes:
            await _run(self._switch, "ip", "link", "set", node.link, "master", _TOGETHER)


@asynccontextmanager
async def network(count: int) -> AsyncIterator[Network]:
    """Make a network of so many nodes; this process has the address .254 in it."""
    async with AsyncExitStack() as stack:
        holders = [await stack.enter_async_context(_namespace()) for _ in range(count + 1)]
        switch = holders.pop()
        inside = _inside(switch)
        for bridge in (_TOGETHER, _APART):
            await _run(inside, "ip", "link", "add", bridge, "type", "bridge")
            await _run(inside, "ip", "link", "set", bridge, "up")
        number = await _uplink(switch)
        stack.push_async_callback(_run, [], "ip", "link", "delete", _name(number))
        await _run([], "ip", "address", "add", f"198.18.{number}.254/24", "dev", _name(number))
        await _run([], "ip", "link", "set", _name(number), "up")
        await _join(inside, "uplink")
        nodes = [
            await _node(holder, switch, f"198.18.{number}.{position}")
            for position, holder in enumerate(holders, 1)
        ]
        yield Network(nodes, inside)


async def _uplink(switch: Process) -> int:
    """Link this process's network to the switch; the link's name, free or not, says which network is free."""
    for number in random.sample(range(_NETWORKS), _NETWORKS):
        words = ("ip", "link", "add", _name(number), "type", "veth", "peer", "name", "uplink")
        made = await anyio.run_process([*words, "netns", str(switch.pid)], check=False)
        if made.returncode == 0:
            return number
        if b"exists" not in made.stderr:
            raise RuntimeError(f"no link to the test network: {made.stderr.decode()}")
    raise RuntimeError("every test network of this machine is in use")


async def _node(holder: Process, switch: Process, address: str) -> Node:
    inside, link = _inside(holder), f"port{address.rsplit('.', 1)[1]}"
    peer = ("peer", "name", link, "netns", str(switch.pid))
    await _run([], "ip", "link", "add", "eth0", "netns", str(holder.pid), "type", "veth", *peer)
    await _run(inside, "ip", "address", "add", f"{address}/24", "dev", "eth0")
    await _run(inside, "ip", "link", "set", "eth0", "up")
    await _join(_inside(switch), link)
    return Node(address, link, inside)


async def _join(switch: list[str], link: str) -> None:
    await _run(switch, "ip", "link", "set", link, "master", _TOGETHER, "up")


@asynccontextmanager
async def _namespace() -> AsyncIterator[Process]:
    """Hold a network namespace for the length of the block."""
    script = "ip link set lo up && echo up && exec sleep infinity"
    command = tethered(["unshare", "--net", "sh", "-c", script])
    async with await anyio.open_process(command, stdin=DEVNULL, stdout=PIPE, stderr=None) as holder:
        try:
            assert holder.stdout is not None
            await holder.stdout.receive()
            yield holder
        finally:
            holder.kill()


def _name(number: int) -> str:
    return f"millrace{number}"


def _inside(holder: Process) -> list[str]:
    return ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--"]


async def _run(inside: list[str], *words: str) -> None:
    await anyio.run_process([*inside, *words])
