"""Which peers there are, and what each needs to be installed; nothing of theirs is imported before."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.peer import Peer
from benchmarks.peers.servers import MONGOD, POSTGRESQL, RABBITMQ, REDIS, Server

INSTALL_LIBRARIES = "make .venv-peers/ready"


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer that can be measured where its libraries and servers are."""

    name: str
    """As on the command line, and in the names of figures."""
    title: str
    location: str
    """`module:class` below this package."""
    libraries: tuple[str, ...]
    """Distributions; the versions of all are shown."""
    servers: tuple[Server, ...]

    def missing(self) -> str | None:
        """Return the command that installs what isn't there; None when everything is."""
        for server in self.servers:
            if server.find() is None:
                return server.install
        try:
            self.versions()
        except PackageNotFoundError:
            return INSTALL_LIBRARIES
        return None

    def versions(self) -> str:
        """Return names and versions of its libraries."""
        return ", ".join(f"{library} {version(library)}" for library in self.libraries)

    def peer(self) -> Peer:
        """Import and make it."""
        module, _, name = self.location.partition(":")
        made: Peer = getattr(import_module(f"{__package__}.{module}"), name)()
        return made


PEERS: Sequence[Entry] = (
    Entry("millrace", "Millrace", "millrace:Millrace", ("millrace", "pymongo"), (MONGOD,)),
    Entry("poller", "find-one-and-update poller", "poller:Poller", ("pymongo",), (MONGOD,)),
    Entry(
        "procrastinate",
        "Procrastinate",
        "procrastinate:Procrastinate",
        ("procrastinate", "psycopg"),
        (POSTGRESQL,),
    ),
    Entry("pgqueuer", "PgQueuer", "pgqueuer:PgQueuerPeer", ("pgqueuer", "asyncpg"), (POSTGRESQL,)),
    Entry("dbos", "DBOS", "dbos:Dbos", ("dbos", "psycopg"), (POSTGRESQL,)),
    Entry("celery-redis", "Celery, Redis", "celery:CeleryPeer", ("celery", "redis"), (REDIS, REDIS)),
    Entry("celery-rabbitmq", "Celery, RabbitMQ", "celery:CeleryPeer", ("celery", "redis"), (RABBITMQ, REDIS)),
    Entry("dramatiq", "Dramatiq, Redis", "dramatiq:Dramatiq", ("dramatiq", "redis"), (REDIS,)),
    Entry("saq", "SAQ, Redis", "saq:Saq", ("saq", "redis"), (REDIS,)),
    Entry("huey", "Huey, Redis", "huey:HueyPeer", ("huey", "redis"), (REDIS,)),
)
BY_NAME = {entry.name: entry for entry in PEERS}
