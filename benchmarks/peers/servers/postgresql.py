"""PostgreSQL as it comes: fsync and synchronous_commit are on."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from benchmarks.peers.process import beside, free_port, running, until
from pipeline.tether import tethered

_USER = "postgres"


def find_postgres() -> str | None:
    """Return the path of the newest `postgres`, which Debian doesn't put on PATH; None when there is none."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    return str(installed[-1]) if installed else shutil.which("postgres")


@asynccontextmanager
async def postgresql(folder: Path) -> AsyncIterator[str]:
    """Run a new PostgreSQL cluster, as the user postgres when this process is root's: it refuses root.

    Raises:
        RuntimeError: it can't be made or started; with its output.
    """
    programs = _programs()
    data, log, port = folder / "postgresql", folder / "postgresql.log", free_port()
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, _USER)
    create = [str(programs / "initdb"), "--pgdata", str(data), "--username", _USER, "--auth", "trust"]
    created = await anyio.run_process(_as_postgres(create), check=False)
    if created.returncode:
        raise RuntimeError(f"initdb ended with code {created.returncode}: {created.stderr.decode()}")
    serve = [
        *(str(programs / "postgres"), "-D", str(data)),
        *("-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "unix_socket_directories="),
    ]
    async with running(_as_postgres(serve), log, stop=signal.SIGINT) as process:  # ends sessions too
        await beside(process, log, until(partial(_is_up, programs, port), every=0.1), seconds=30)
        yield f"postgresql://{_USER}@127.0.0.1:{port}/postgres"


def _programs() -> Path:
    return Path(str(find_postgres())).resolve().parent


def _as_postgres(command: list[str]) -> list[str]:
    """Return the command line that runs as the user postgres, and ends when its parent does."""
    if os.geteuid() != 0:
        return tethered(command)
    # Another user can't be tethered by our own Python, which it may not even be able to read.
    user = ["setpriv", "--reuid", _USER, "--regid", _USER, "--clear-groups"]
    return [*user, "--pdeathsig", "INT", *command]


async def _is_up(programs: Path, port: int) -> bool:
    command = [str(programs / "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(port)]
    return (await anyio.run_process(command, check=False)).returncode == 0


def _major(postgres: Path) -> float:
    return float(postgres.parent.parent.name)
