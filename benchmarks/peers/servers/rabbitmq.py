"""RabbitMQ: a node of its own, with its own port mapper; durability is what its clients ask for."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from benchmarks.peers.process import accepts, beside, free_port, running, until
from pipeline.tether import tethered

_PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""Debian's. The one on PATH changes to a user who can't write into our folder."""


def find_rabbitmq() -> str | None:
    """Return the path of `rabbitmq-server`; None when it, or Erlang's port mapper, isn't installed."""
    found = _PROGRAM if os.access(_PROGRAM, os.X_OK) else shutil.which("rabbitmq-server")
    return found if shutil.which("epmd") else None


@asynccontextmanager
async def rabbitmq(folder: Path) -> AsyncIterator[str]:
    """Run a RabbitMQ node. Erlang would leave a port mapper (epmd) behind, so one is run beside it."""
    home, mapper, port = folder / "rabbitmq", free_port(), free_port()
    home.mkdir()
    own = {
        "HOME": str(home),  # the Erlang cookie
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "environment"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
    }
    names, log = folder / "epmd.log", folder / "rabbitmq.log"
    async with running(tethered(["epmd"]), names, environment=own) as process:
        await beside(process, names, until(partial(accepts, mapper), every=0.02), seconds=10)
        async with running(tethered([str(find_rabbitmq())]), log, environment=own) as server:
            await beside(server, log, until(partial(accepts, port), every=0.1), seconds=60)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
