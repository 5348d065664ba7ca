"""Which peers there are, and what each needs to be installed; nothing of theirs is imported before."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.servers import MONGOD, POSTGRESQL, RABBITMQ, REDIS, Server

INSTALL_LIBRARIES = "make .venv-peers/ready"


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer that can be measured where its libraries and servers are."""

    name: str
    """As on the command line, and in the names of figures."""
    title: str
    location: str
    """`module:class` of its `Peer`."""
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


PEERS: Sequence[Entry] = (
    Entry("millrace", "Millrace", "benchmarks.peers.millrace:Millrace", ("millrace", "pymongo"), (MONGOD,)),
    Entry("poller", "find-one-and-update poller", "benchmarks.peers.poller:Poller", ("pymongo",), (MONGOD,)),
    Entry(
        "procrastinate",
        "Procrastinate",
        "benchmarks.peers.procrastinate:Procrastinate",
        ("procrastinate", "psycopg"),
        (POSTGRESQL,),
    ),
    Entry(
        "pgqueuer",
        "PgQueuer",
        "benchmarks.peers.pgqueuer:PgQueuerPeer",
        ("pgqueuer", "asyncpg"),
        (POSTGRESQL,),
    ),
    Entry("dbos", "DBOS", "benchmarks.peers.dbos:Dbos", ("dbos", "psycopg"), (POSTGRESQL,)),
    Entry(
        "celery-redis",
        "Celery, Redis",
        "benchmarks.peers.celery:OnRedis",
        ("celery", "redis"),
        (REDIS, REDIS),
    ),
    Entry(
        "celery-rabbitmq",
        "Celery, RabbitMQ",
        "benchmarks.peers.celery:OnRabbitMq",
        ("celery", "redis"),
        (RABBITMQ, REDIS),
    ),
    Entry(
        "dramatiq", "Dramatiq, Redis", "benchmarks.peers.dramatiq:Dramatiq", ("dramatiq", "redis"), (REDIS,)
    ),
    Entry("saq", "SAQ, Redis", "benchmarks.peers.saq:Saq", ("saq", "redis"), (REDIS,)),
    Entry("huey", "Huey, Redis", "benchmarks.peers.huey:HueyPeer", ("huey", "redis"), (REDIS,)),
)
